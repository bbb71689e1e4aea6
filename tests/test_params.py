import math
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from semisynth.errors import SemisynthError
from semisynth.params import Params, load_params

SHIPPED = Path(__file__).parents[1] / "params.yaml"


def shipped() -> Any:
    return YAML(typ="safe", pure=True).load(SHIPPED)


def load(tmp_path: Path, tree: Any) -> Params:
    YAML(typ="safe", pure=True).dump(tree, tmp_path / "params.yaml")
    return load_params(tmp_path / "params.yaml")


def test_shipped_parameters_are_valid() -> None:
    params = load_params(SHIPPED)
    assert (params.download.dataset, params.split.labelled) == ("mnist", 100)


def test_sections_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_params(SHIPPED).split.labelled = 3


@pytest.mark.parametrize(
    ("where", "wrong", "message"),
    [
        (["split"], "labeled", "`split.labeled` is an unknown key, did you mean `labelled`?"),
        ([], "spilt", "`spilt` is an unknown key, did you mean `split`?"),
        (
            ["train_baseline", "svm"],
            "xyz",
            "`train_baseline.svm.xyz` is an unknown key, known keys: C, gamma, max_images",
        ),
    ],
)
def test_unknown_key_is_told_with_the_nearest_known(
    tmp_path: Path, where: list[str], wrong: str, message: str
) -> None:
    tree = section = shipped()
    for name in where:
        section = section[name]
    section[wrong] = 1
    with pytest.raises(SemisynthError) as failure:
        load(tmp_path, tree)
    assert str(failure.value) == f"{tmp_path / 'params.yaml'}: {message}"


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ({"base": "dcgan_smal"}, "`train_synthesizer.recipe.base`: input should be"),
        ({"base": "dcgan", "los": 1}, "`train_synthesizer.recipe.los` is an unknown key, did you mean `loss`?"),
        ({"base": "dcgan_smal"}, "received 'dcgan_smal' (str), did you mean `dcgan_small`?"),
        ({"base": "dcgan", "loss": "waserstein"}, "received 'waserstein' (str), did you mean `wasserstein`?"),
        ({"loss": "wasserstein"}, "`train_synthesizer.recipe.base` is missing"),
        ({"base": "dcgan", "real_targets": [0.5]}, "`train_synthesizer.recipe.real_targets`: list should have"),
        (
            {"base": "dcgan", "instance_noise": -1.0},
            "`train_synthesizer.recipe.instance_noise`: input should be gr",
        ),
    ],
)
def test_parts_of_a_recipe_are_checked(tmp_path: Path, recipe: dict[str, object], message: str) -> None:
    tree = shipped()
    tree["train_synthesizer"]["recipe"] = recipe
    with pytest.raises(SemisynthError) as failure:
        load(tmp_path, tree)
    assert message in str(failure.value)


def test_a_temperature_below_0_is_refused(tmp_path: Path) -> None:
    tree = shipped()
    tree["train_synthesizer"]["lstm"]["temperature"] = -0.5
    with pytest.raises(SemisynthError, match=r"lstm\.temperature`: input should be greater than or equal to 0"):
        load(tmp_path, tree)


def test_a_recipe_is_a_name_or_the_parts_that_were_given(tmp_path: Path) -> None:
    tree = shipped()
    assert load(tmp_path, tree).train_synthesizer.recipe_source == "semi_acgan"
    tree["train_synthesizer"]["recipe"] = {"base": "dcgan", "gradient_penalty": 10, "replay": None}
    received = load(tmp_path, tree).train_synthesizer.recipe_source
    assert received == {"base": "dcgan", "gradient_penalty": 10.0}


def test_missing_key(tmp_path: Path) -> None:
    tree = shipped()
    del tree["split"]["labelled"]
    with pytest.raises(SemisynthError, match=r"params.yaml: `split.labelled` is missing$"):
        load(tmp_path, tree)


def test_missing_section(tmp_path: Path) -> None:
    tree = shipped()
    del tree["split"]
    with pytest.raises(SemisynthError, match=r"params.yaml: `split` is missing$"):
        load(tmp_path, tree)


@pytest.mark.parametrize(
    ("section", "key", "value", "message"),
    [
        ("split", "labelled", 0, "greater than 0, received 0 (int)"),
        ("split", "labelled", -5, "greater than 0, received -5 (int)"),
        ("split", "labelled", 100.0, "valid integer, received 100.0 (float)"),
        ("split", "labelled", "100", "valid integer, received '100' (str)"),
        ("split", "labelled", True, "valid integer, received True (bool)"),
        ("split", "labelled", None, "valid integer, received None (NoneType)"),
        ("split", "labelled", [1], "valid integer, received [1] (list)"),
        ("split", "validation", 1.0, "less than 1, received 1.0 (float)"),
        ("split", "validation", 0.0, "greater than 0, received 0.0 (float)"),
        ("split", "seed", -1, "greater than or equal to 0"),
        ("download", "timeout", "1e-3", "valid number, received '1e-3' (str)"),
        ("download", "timeout", math.inf, "finite number, received inf (float)"),
        ("download", "timeout", math.nan, "received nan (float)"),
        ("download", "attempts", 0, "greater than 0"),
        ("download", "dataset", "minst", "received 'minst' (str)"),
        ("download", "fallback", "mnist", "received 'mnist' (str)"),
        ("train_synthesizer", "recipe", "wgan_pg", "received 'wgan_pg' (str), did you mean `wgan_gp`?"),
        ("train_synthesizer", "recipe", "autoencoder", "it is a detector, see `fit_detector.autoencoder`"),
        ("train_synthesizer", "recipe", 3, "received 3 (int)"),
        ("synthesize", "per_class", 0, "greater than 0"),
        ("synthesize", "candidates", 0.5, "greater than or equal to 1"),
        ("train_synthesizer", "batch_size", 1, "greater than or equal to 2"),
        ("train_synthesizer", "epochs", -1, "greater than 0"),
        ("augment", "arms", [], "at least 1 item"),
        ("augment", "arms", ["all", "all"], "each name expected once, received ['all', 'all']"),
        ("score_anomalies", "per_kind", 1, "greater than or equal to 2"),
        ("score_anomalies", "kinds", ["noise", "letter", "noise"], "each name expected once"),
        ("compare", "confidence_level", 95, "less than 1"),
    ],
)
def test_wrong_value_is_told_with_what_was_expected(
    tmp_path: Path, section: str, key: str, value: object, message: str
) -> None:
    tree = shipped()
    tree[section][key] = value
    with pytest.raises(SemisynthError) as failure:
        load(tmp_path, tree)
    assert f"params.yaml: `{section}.{key}`: " in str(failure.value)
    assert message in str(failure.value)


def test_latents_are_no_larger_than_a_bundles_may_be(tmp_path: Path) -> None:
    tree = shipped()
    tree["train_synthesizer"]["vae"]["latent_size"] = 65537
    with pytest.raises(SemisynthError, match=r"`train_synthesizer.vae.latent_size`: .* 65536, received 65537"):
        load(tmp_path, tree)


@pytest.mark.parametrize(("text", "value"), [("1e-3", 0.001), ("0.001", 0.001), ("1.0e+2", 100.0)])
def test_numbers_are_read_as_yaml_1_2_reads_them(tmp_path: Path, text: str, value: float) -> None:
    edited = SHIPPED.read_text(encoding="utf-8").replace("timeout: 30.0 ", f"timeout: {text} ")
    (tmp_path / "params.yaml").write_text(edited, encoding="utf-8")
    assert load_params(tmp_path / "params.yaml").download.timeout == value


def test_every_wrong_key_is_told_at_once(tmp_path: Path) -> None:
    tree = shipped()
    tree["split"] = {"labelled": 0, "validation": 2.0, "extra": 1}
    with pytest.raises(SemisynthError) as failure:
        load(tmp_path, tree)
    assert "\n" not in str(failure.value)
    for part in (
        "`split.labelled`: ",
        "`split.validation`: ",
        "`split.seed` is missing",
        "`split.extra` is an unk",
    ):
        assert part in str(failure.value)


@pytest.mark.parametrize("value", ["auto", 0, -1.0, True, None, math.inf])
def test_gamma_is_a_number_or_a_word(tmp_path: Path, value: object) -> None:
    tree = shipped()
    tree["train_baseline"]["svm"]["gamma"] = value
    with pytest.raises(
        SemisynthError, match=r"`train_baseline\.svm\.gamma`: expected a number above 0 or `scale`,"
    ):
        load(tmp_path, tree)
    tree["train_baseline"]["svm"]["gamma"] = 2
    assert load(tmp_path, tree).train_baseline.svm.gamma == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("split: [1, 2", "not valid YAML"),
        ("split: {}\nsplit: {}", "not valid YAML"),
        ("a: &x [*x, *y]", "not valid YAML"),
        ("a: 2020-13-45", "not valid YAML: month must be"),
        ("a: " + 3000 * "[", "not valid YAML"),
        ("", "`the file`: .* received None"),
        ("just text", "`the file`: .* received 'just text'"),
        ("- 1", "`the file`: "),
    ],
)
def test_files_that_are_no_mapping(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(SemisynthError, match=f"params.yaml: {message}") as failure:
        load_params(tmp_path / "params.yaml")
    assert "\n" not in str(failure.value)


def test_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SemisynthError, match=r"params.yaml: expected UTF-8 text"):
        load_params(tmp_path / "params.yaml")


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(SemisynthError, match=r"nowhere.yaml: no such file; run from the project's folder"):
        load_params(tmp_path / "nowhere.yaml")
