"""Every fixture in its vendor's shape: read, joined, audited, and held to what was planted, to the cent."""

import itertools
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from segmentkit.analysis import audit, audit_report, customer_rows, identities
from segmentkit.analysis.audit import Checked
from segmentkit.machinery.reading import read_source
from segmentkit.machinery.runs import connect
from segmentkit.machinery.sources import load_source

FORMATS = Path(__file__).parent / "formats"
NAMES = sorted(path.parent.name for path in FORMATS.glob("*/source.toml"))
SECRET = bytes.fromhex("5e" * 32)
# what a person decides is told apart from what the file says: the source leaves these rows out by name
NOT_RECOGNISABLE = "nobody's: consent to be recognised was refused"


def collected(name: str) -> dict[str, Checked]:
    """Notebook 01 on one fixture, without the notebook."""
    source = load_source(str(FORMATS / name / "source.toml"))
    raw = read_source(source, connect())
    secret = SECRET if source.needs_key else b""
    people = identities.resolve(raw, secret, systems=source.systems, country=source.facts.get("country", ""))
    return audit.check_tables(customer_rows.joined(people.tables))


@pytest.fixture(scope="module", params=NAMES)
def fixture(request: pytest.FixtureRequest) -> tuple[str, dict[str, Checked], dict[str, Any]]:
    truth = json.loads((FORMATS / request.param / "truth.json").read_text(encoding="utf-8"))
    return request.param, collected(request.param), truth["tables"]


def test_every_ready_map_has_a_fixture() -> None:
    from segmentkit.machinery import ready_maps

    assert set(ready_maps.names()) <= set(NAMES)
    assert len(NAMES) == 15


def test_rows_kept_left_out_and_failed_are_those_that_were_planted(fixture: Any) -> None:
    name, checked, truth = fixture
    for table, expected in truth.items():
        if "kept" in expected and table in checked:
            found = checked[table]
            failing = sum(expected["failed"].values()) + sum(expected["left_out"].values())
            aside = len(found.quarantined) + int(found.left_out["rows"].sum())
            assert (found.rows_kept, aside) == (expected["kept"], failing), (name, table)


def test_what_a_contact_export_says_of_consent_is_refusals_only() -> None:
    truth = json.loads((FORMATS / "hubspot_contacts" / "truth.json").read_text(encoding="utf-8"))["tables"]
    checked = collected("hubspot_contacts")
    assert checked["customers"].rows_kept == truth["customers"]["rows"]
    refused = checked["consents"].kept.execute()
    assert len(refused) == truth["consents"]["refused_rows"]
    assert not refused["granted"].any()


def test_rows_read_are_rows_kept_set_aside_and_left_out(fixture: Any) -> None:
    name, checked, _ = fixture
    for table, one in checked.items():
        aside = len(one.quarantined) + int(one.left_out["rows"].sum()) + one.rows_forgotten
        assert one.rows_read == one.rows_kept + aside, (name, table)


def planted_amount(stated: dict[str, Any]) -> Decimal:
    """In the source's currency; a refund takes no more from a line than was paid for it."""
    if capped := stated.get("amount_if_refunds_are_capped_at_subtotal"):
        return Decimal(capped["EUR"]) + Decimal(capped["GBP"]) * Decimal("1.17")
    return Decimal(stated["amount"])


def test_persons_and_money_are_those_that_were_planted(fixture: Any) -> None:
    name, checked, truth = fixture
    for table, expected in truth.items():
        one = checked.get(table)
        if one is None or table not in ("transactions", "assignments"):
            continue
        found = int(one.kept.customer_id.nunique().execute())
        assert found == expected["persons"], (name, table)
    if "transactions" in checked:
        stated = truth["transactions"]
        planted = planted_amount(stated)
        kept = checked["transactions"].ledger.query("outcome == 'analysed'")["amount"].iloc[0]
        assert round(kept, 2) == round(planted, 2), name


def test_a_form_knows_people_by_e_mail_or_second_and_not_by_the_row(tmp_path: Path) -> None:
    rows = [f"2025/10/03 1:41:0{at} PM GMT+2,{who},yes" for at, who in [(0, "a@x.de"), (1, "b@x.de"), (2, ""), (2, "")]]
    toml = (FORMATS / "google_forms" / "source.toml").read_text(encoding="utf-8").split("[transactions]")[0]
    section = '[survey]\npath = "f.csv"\nformat = "google_forms"\nitems.q = "nominal"\n'
    (tmp_path / "source.toml").write_text(toml + section, encoding="utf-8")
    months: list[list[str]] = []
    crosswalk = None
    for deleted in (0, 1):
        text = "\n".join(["Timestamp,Email Address,q", *rows[deleted:], ""])
        (tmp_path / "f.csv").write_text(text, encoding="utf-8")
        raw = read_source(load_source(str(tmp_path / "source.toml")), connect())
        people = identities.resolve(raw, SECRET, systems=["google_forms"], earlier=crosswalk)
        crosswalk = people.crosswalk
        months.append(people.tables["survey"].table.order_by("row_number").execute()["customer_id"].tolist())
        assert people.changes.empty
    assert len(set(months[0])) == 4
    assert months[1] == months[0][1:]


def test_no_ready_map_takes_whatever_value_the_engine_meets_first() -> None:
    maps = [
        path.read_text(encoding="utf-8").lower() for path in (FORMATS / "../../lib").resolve().rglob("formats/*.toml")
    ]
    assert maps
    assert not any("any_value" in text or "first(" in text for text in maps)


def test_the_money_bridge_adds_up_to_the_cent(fixture: Any) -> None:
    name, checked, _ = fixture
    if "transactions" not in checked:
        pytest.skip(f"{name} has no purchases")
    bridge = audit_report.money_bridge(checked["transactions"])
    print(f"\n{name}\n{bridge.to_string(index=False)}")
    amounts = bridge["amount"].map(lambda value: Decimal(str(round(value, 2))))
    for column in (amounts, bridge["rows"]):
        stops = [at for at, step in enumerate(bridge["step"]) if step in audit_report.STOPS]
        for here, there in itertools.pairwise(stops):
            # what is analysed is the last stop and stands last
            assert column[here] == sum(column[here + 1 : there + 1]), (name, bridge["step"][here])


def test_the_ledger_of_the_till_is_read_to_the_cent() -> None:
    bridge = audit_report.money_bridge(collected("plain_orders")["transactions"], 324682.74, [0.0])
    amounts = bridge.set_index("step")["amount"]
    assert (amounts["ledger control total"], amounts["not in the files"]) == (324682.74, 0.0)
    assert amounts["in the files"] == 649365.48
