"""The one reader and merger of configurations: files by path, recipes, layers and options."""

from pathlib import Path

import pytest
import yaml

from benchmarks.config.resolve import full_class_paths, merge, read_config, resolve, with_option
from benchmarks.utils.errors import UserError

ADAM = {"class_path": "torch.optim.Adam", "init_args": {"lr": 0.1, "eps": 1.0}}


def write(path: Path, **content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content))
    return path


def test_files_named_by_path_are_read_relative_to_the_file_that_names_them(tmp_path: Path) -> None:
    write(tmp_path / "model" / "net.yaml", class_path="Net", init_args={"inner": "../parts/inner.yaml"})
    write(tmp_path / "parts" / "inner.yaml", class_path="Inner")
    path = write(tmp_path / "experiment" / "x" / "a.yaml", model="../../model/net.yaml", tasks=["Predict"])
    net = {"class_path": "Net", "init_args": {"inner": {"class_path": "Inner"}}}
    assert read_config(path) == {"model": net, "tasks": ["Predict"]}


def test_a_recipe_lies_over_the_files_and_under_what_the_experiment_says_itself(tmp_path: Path) -> None:
    write(tmp_path / "model.yaml", class_path="Net", init_args={"width": 8, "optimizer": ADAM})
    write(
        tmp_path / "recipe.yaml",
        model={"init_args": {"optimizer": {"init_args": {"lr": 0.2}}}},
        budget={"generator_updates": 100, "seconds": 60},
    )
    named = {"model": "model.yaml", "recipe": "recipe.yaml"}
    plain = read_config(write(tmp_path / "plain.yaml", **named))
    own = read_config(write(tmp_path / "own.yaml", **named, budget={"seconds": 30}))
    assert plain["model"]["init_args"] == {"width": 8, "optimizer": {**ADAM, "init_args": {"lr": 0.2, "eps": 1.0}}}
    assert (plain["budget"], own["budget"]) == (
        {"generator_updates": 100, "seconds": 60},
        {"generator_updates": 100, "seconds": 30},
    )
    assert "recipe" not in plain
    dotted = write(tmp_path / "dotted.yaml", **named, **{"budget.seconds": 20, "model.width": 4})
    assert read_config(dotted)["budget"] == {"generator_updates": 100, "seconds": 20}
    assert read_config(dotted)["model"]["init_args"]["width"] == 4


def test_bare_names_of_our_classes_become_full_paths_and_others_stay() -> None:
    config = {"model": {"class_path": "RepeatLast"}, "all": [{"class_path": "Adam"}, {"class_path": "mine.Net"}]}
    full = full_class_paths(config)
    assert full["model"] == {"class_path": "baselines.repeat_last.RepeatLast"}
    assert full["all"] == config["all"]


def test_overrides_are_files_and_options_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "a.yaml", model={"class_path": "Net", "init_args": {"width": 8}})
    write(tmp_path / "over.yaml", model={"init_args": {"width": 9}}, seed=1)
    write(tmp_path / "other.yaml", class_path="Other")
    assert resolve([Path("a.yaml")], ["seed=2", "over.yaml"])["seed"] == 1
    assert resolve([Path("a.yaml")], ["over.yaml", "model.width=7"])["model"]["init_args"] == {"width": 7}
    assert resolve([Path("a.yaml")], ["model=other.yaml"])["model"] == {"class_path": "Other"}


def test_another_class_does_not_inherit_arguments_and_a_bare_name_takes_them() -> None:
    below = {"model": {"class_path": "Net", "init_args": {"width": 8}}, "seed": 1}
    assert merge(below, {"model": {"class_path": "Other"}})["model"] == {"class_path": "Other"}
    assert merge(below, {"model": {"class_path": "Net", "init_args": {"depth": 2}}})["model"]["init_args"] == {
        "width": 8,
        "depth": 2,
    }
    assert merge({"model": "Net"}, {"model": {"init_args": {"width": 4}}})["model"] == {
        "class_path": "Net",
        "init_args": {"width": 4},
    }


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("model.init_args.width=9", {"class_path": "Net", "init_args": {"width": 9, "optimizer": ADAM}}),
        ("model.width=9", {"class_path": "Net", "init_args": {"width": 9, "optimizer": ADAM}}),
        (
            "model.optimizer.lr=0.5",
            {
                "class_path": "Net",
                "init_args": {"width": 8, "optimizer": {**ADAM, "init_args": {"lr": 0.5, "eps": 1.0}}},
            },
        ),
        ("model.class_path=Other", {"class_path": "Other"}),
        ("model=Other", "Other"),
    ],
)
def test_options_reach_into_objects(option: str, expected: object) -> None:
    config = {"model": {"class_path": "Net", "init_args": {"width": 8, "optimizer": ADAM}}}
    assert with_option(config, option)["model"] == expected
    assert config["model"]["init_args"]["width"] == 8  # the configuration itself is left alone


def test_options_append_and_then_mean_the_last_entry(tmp_path: Path) -> None:
    write(tmp_path / "a.yaml", tasks=["Interpolate"])
    config = resolve([tmp_path / "a.yaml", {"seed": 3}], ["tasks+=Predict", "tasks.context=8"])
    assert config == {"tasks": ["Interpolate", {"class_path": "Predict", "init_args": {"context": 8}}], "seed": 3}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: [", "is not YAML"),
        ("- 1", "it holds a list"),
        ("recipe: {budget: {}}", "`recipe:` of"),
        ("recipe: nowhere.yaml", "nowhere.yaml"),
    ],
)
def test_a_file_that_is_no_configuration_is_named(text: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=told):
        read_config(path)
    with pytest.raises(UserError, match=r"none\.yaml"):
        read_config(tmp_path / "none.yaml")
    with pytest.raises(UserError, match="key=value"):
        with_option({}, "model")
