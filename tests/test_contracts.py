"""The shared tables: their columns, and the errors' exit codes."""

import pytest

from segmentkit import errors
from segmentkit.contracts import ADDRESSES, TABLES, Formats, TableContract
from segmentkit.machinery.paths import project_root

EVERY_TABLE = pytest.mark.parametrize("table", [*TABLES.values(), ADDRESSES], ids=[*TABLES, ADDRESSES.name])


@EVERY_TABLE
def test_columns_are_named_once_and_have_a_known_kind(table: TableContract) -> None:
    assert len(set(table.names)) == len(table.names)
    assert {column.kind for column in table.columns} <= {"text", "money", "number", "time", "flag"}


@EVERY_TABLE
def test_the_key_is_made_of_columns_and_ids_are_text(table: TableContract) -> None:
    assert set(table.key) <= set(table.names)
    assert {column.kind for column in table.columns if column.name.endswith("_id")} <= {"text"}


@EVERY_TABLE
def test_every_table_says_what_it_enables(table: TableContract) -> None:
    assert table.enables


@pytest.mark.parametrize(
    ("name", "required"),
    [
        ("transactions", ["customer_id", "order_id", "ordered_at", "amount"]),
        ("customers", ["customer_id"]),
        ("campaigns", ["campaign_id", "start", "end"]),
        ("contacts", ["customer_id", "at", "channel", "event"]),
        ("assignments", ["campaign_id", "customer_id", "arm", "designed_share"]),
        ("responses", ["customer_id", "campaign_id", "outcome", "value"]),
        ("consents", ["customer_id", "channel", "purpose", "granted"]),
        ("survey", ["customer_id"]),
        ("acquisition_costs", ["start", "end", "cost", "origin"]),
        ("margins", ["category", "margin_rate", "origin"]),
        ("exchange_rates", ["currency", "rate", "origin"]),
    ],
)
def test_what_a_source_must_fill_comes_first(name: str, required: list[str]) -> None:
    assert TABLES[name].required == required
    assert TABLES[name].names[: len(required)] == required


def test_formats_default_to_the_plainest_export() -> None:
    assert Formats() == Formats(decimal=".", date_format="", timestamps_in="local", time_zone="UTC", latest="")


def test_the_data_readme_names_every_column() -> None:
    readme = project_root() / "data" / "README.md"
    text = readme.read_text(encoding="utf-8")
    missing = [
        f"{t.name}.{column}" for t in [*TABLES.values(), ADDRESSES] for column in t.names if f"`{column}`" not in text
    ]
    assert missing == []


def test_exit_codes_are_one_a_class_and_known_by_name() -> None:
    classes = errors.KitError.__subclasses__()
    codes = {cls.__name__: cls.exit_code for cls in classes}
    assert codes == {
        "ParameterError": 2,
        "EnvironmentFault": 3,
        "UpstreamError": 4,
        "AuditError": 5,
        "PrivacyStop": 6,
        "DataError": 1,
    }
    assert [errors.exit_code_of(name) for name in (*codes, "ValueError")] == [*codes.values(), 1]
