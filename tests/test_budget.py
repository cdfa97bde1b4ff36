import pytest

from napari_alseg.budget import Budget
from napari_alseg.errors import BadValue


@pytest.mark.parametrize(
    ("text", "amount", "unit"),
    [
        ("5%", 5, "%"),
        (" 0.5 % ", 0.5, "%"),
        ("2000 regions", 2000, "regions"),
        ("1 region", 1, "regions"),
        ("100 px/image", 100, "px/image"),
        ("20 images", 20, "images"),
        ("1 image", 1, "images"),
    ],
)
def test_a_budget_names_its_unit(text, amount, unit):
    assert Budget.parse(text) == Budget(amount, unit)


@pytest.mark.parametrize("text", ["", "5", "five %", "5 apples", "0%", "-3 regions"])
def test_a_budget_without_amount_or_unit_is_refused(text):
    with pytest.raises(BadValue):
        Budget.parse(text)


def test_more_than_everything_is_refused():
    with pytest.raises(BadValue, match="at most 100"):
        Budget.parse("101%")


def test_rounds_share_a_budget_equally():
    assert [str(share) for share in Budget.parse("6%").shares(3)] == ["2%"] * 3


def test_rounds_ask_all_of_a_budget_of_whole_regions():
    """EquAL's 12 % of CamVid, of which equal shares rounded down would leave one."""
    for parts in (1, 3, 4, 7, 1101):
        amounts = [share.amount for share in Budget.parse("1101 regions").shares(parts)]
        assert sum(amounts) == 1101
        assert max(amounts) - min(amounts) <= 1
        assert all(amount == int(amount) for amount in amounts)


@pytest.mark.parametrize("text", ["1000000 regions", "0.0001%", "4 images"])
def test_a_share_of_a_budget_can_be_written_and_read(text):
    for share in Budget.parse(text).shares(3):
        assert Budget.parse(str(share)).amount == pytest.approx(share.amount, rel=1e-5)


def test_fewer_regions_than_rounds_are_refused():
    with pytest.raises(BadValue, match="2 images cannot be shared among 3 rounds"):
        Budget.parse("2 images").shares(3)
