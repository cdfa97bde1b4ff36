import pytest

from napari_alseg.segmentation.networks import torchvision_operators


def fail_once(message: str):
    calls = []

    def import_module(name: str) -> None:
        calls.append(name)
        if len(calls) == 1:
            raise RuntimeError(message)

    return import_module, calls


class Library:
    """Stands for torch's, whose definitions could not be taken back."""

    defined: list[str]

    def __init__(self, name: str, kind: str) -> None:
        assert (name, kind) == ("torchvision", "FRAGMENT")
        Library.defined = []

    def define(self, schema: str) -> None:
        self.defined.append(schema)


def test_torchvision_is_importable_and_the_second_call_does_nothing():
    torchvision_operators.import_torchvision()
    assert torchvision_operators.import_torchvision() is False
    import torchvision

    assert torchvision.models.list_models()


def test_missing_operators_are_named_and_the_import_tried_again(monkeypatch):
    failing, calls = fail_once("operator torchvision::nms does not exist")
    monkeypatch.setattr(torchvision_operators, "import_module", failing)
    monkeypatch.setattr(torchvision_operators, "Library", Library)
    monkeypatch.setattr(torchvision_operators, "_kept", [])
    assert torchvision_operators.import_torchvision() is True
    assert calls == ["torchvision", "torchvision"]
    assert [schema.split("(")[0] for schema in Library.defined] == ["nms", "qnms"]


def test_another_failure_is_not_hidden(monkeypatch):
    failing, _ = fail_once("something else")
    monkeypatch.setattr(torchvision_operators, "import_module", failing)
    with pytest.raises(RuntimeError, match="something else"):
        torchvision_operators.import_torchvision()
