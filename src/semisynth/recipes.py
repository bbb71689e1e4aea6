"""The adversarial recipes by name. The next one over networks that there are is an entry here, and nothing else.

The words are those of a recipe in params.yaml, and two more: `networks` names a pair in `synthesizers.pairs`, with
the conditioning that it is made for, and `batch_size` holds where parameters give none. Rates and `optimizer` are
needed; what else is left out is as in `synthesizers.recipe.Recipe`. Plain values, so that a misspelt name is
refused before any network is built. `README.md` says what each recipe is.
"""

from typing import Any

NAMED: dict[str, dict[str, Any]] = {
    "acgan": {
        "networks": "acgan",
        "real_targets": [0.95, 0.95],
        "optimizer": "adam",
        "generator_rate": 0.0002,
        "discriminator_rate": 0.0002,
    },
    "semi_acgan": {
        "networks": "semi_acgan",
        "class_weight": 0.3,
        "optimizer": "adam",
        "generator_rate": 0.0008,
        "discriminator_rate": 0.0008,
    },
    "dcgan": {
        "networks": "dcgan",
        "optimizer": "rmsprop",
        "generator_rate": 0.0001,
        "discriminator_rate": 0.0002,
        "batch_size": 256,
    },
    "vanilla_gan": {
        "networks": "vanilla_gan",
        "optimizer": "adam",
        "generator_rate": 0.001,
        "discriminator_rate": 0.001,
    },
    "dense_gan": {
        "networks": "dense_gan",
        "real_targets": [0.8, 1.0],
        "fake_targets": [0.0, 0.2],
        "optimizer": "adam",
        "generator_rate": 0.0002,
        "discriminator_rate": 0.0002,
        "batch_size": 128,
    },
    "dense_cgan": {
        "networks": "dense_cgan",
        "real_targets": [0.8, 1.0],
        "fake_targets": [0.0, 0.2],
        "optimizer": "adam",
        "generator_rate": 0.0005,  # at .0002 its digits come to be those asked for after the default budget
        "discriminator_rate": 0.0005,
        "batch_size": 128,
    },
    "tanh_conv_gan": {
        "networks": "tanh_conv_gan",
        "optimizer": "nesterov",
        "generator_rate": 0.0005,
        "discriminator_rate": 0.0005,
        "batch_size": 32,
    },
    "dcgan_small": {
        "networks": "dcgan_small",
        "optimizer": "adam",
        "generator_rate": 0.0002,
        "discriminator_rate": 0.0002,
    },
    "wgan": {
        "networks": "dcgan_small",
        "loss": "wasserstein",
        "clip": 0.01,
        "optimizer": "rmsprop",
        "generator_rate": 0.00005,
        "discriminator_rate": 0.00005,
    },
    "wgan_gp": {
        "networks": "dcgan_small",
        "normalisation": "layer",
        "loss": "wasserstein",
        "gradient_penalty": 10.0,
        "optimizer": "adam",
        "generator_rate": 0.0002,
        "discriminator_rate": 0.0002,
    },
    "sgan": {
        "networks": "dcgan_small_classifier",
        "feature_matching": True,
        "optimizer": "adam",
        "generator_rate": 0.0002,
        "discriminator_rate": 0.0002,
    },
}
