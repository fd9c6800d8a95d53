import pytest
from hypothesis import given
from hypothesis import strategies as st
from ingest.domain.forwarded_headers import inward, outward
from ingest.domain.merge_openapi import merge
from ingest.domain.owners import RULES, BadPathError, Owner, documented_owner, rule_of, segments_of

S, R, D, A = Owner.SEGMENTER, Owner.ROUTER, Owner.DLR_PROCESSOR, Owner.ANALYTICS
TABLE = [
    ("POST", "/v1/messages/estimate", S), ("GET", "/v1/messages/m-1/consent", D), ("GET", "/v1/messages/m-1", D),
    ("GET", "/v1/messages", D), ("GET", "/v1/callbacks", D), ("PUT", "/v1/callbacks/c/secret", D),
    ("GET", "/v1/campaigns/c/report", A), ("GET", "/v1/campaigns/c/report/hours", A), ("GET", "/v1/reports/roi", A),
    ("PUT", "/v1/campaigns/c", S), ("POST", "/v1/campaigns/c/launch", S), ("GET", "/v1/campaigns/report", S),
    ("PUT", "/v1/contacts/a%20b", S), ("POST", "/v1/contacts/import", S), ("GET", "/v1/contacts/c/consents", S),
    ("POST", "/v1/consents", S), ("PUT", "/v1/segments/s", S), ("PUT", "/v1/templates/t", S), ("GET", "/v1/suppressions", S),
    ("GET", "/v1/links", None), ("GET", "/v1/rules", S), ("GET", "/v1/held", S), ("PUT", "/v1/carriers/mercure", R),
    ("GET", "/v1/prices", R), ("POST", "/v1/routes/explain", R), ("GET", "/v1/senders", R), ("GET", "/v1/contacts/", S),
    ("GET", "/v1/contactsandmore", None), ("GET", "/v1/nothing", None), ("GET", "/v1", None), ("GET", "/internal/v1/opt-outs", None),
    ("GET", "/metrics", None),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "owner"), TABLE, ids=[f"{m} {p}" for m, p, _ in TABLE])
def test_each_path_has_its_owner(method: str, path: str, owner: Owner | None) -> None:
    rule = rule_of(method, segments_of(path))
    assert (rule.owner if rule else None) == owner


@pytest.mark.parametrize(
    "path",
    ["/v1/contacts/../../internal/v1/opt-outs", "/v1/contacts/%2e%2e/x", "/v1//contacts", "/v1/contacts/./a",
     "/v1/contacts/a%2Fb", "/v1/contacts/a%5Cb", "/v1/contacts/a%00"],
)  # fmt: skip
def test_a_path_that_could_mean_another_is_refused(path: str) -> None:
    with pytest.raises(BadPathError):
        segments_of(path)


@given(st.text(alphabet="/.%25eFfv1contacts\\internal-", max_size=40))
def test_nothing_outside_v1_is_ever_forwarded(path: str) -> None:
    try:
        segments = segments_of("/" + path)
    except BadPathError:
        return
    if rule_of("GET", segments) is not None:
        assert ("/" + path).strip("/").startswith("v1/")


def test_only_imports_are_uploads_of_any_length() -> None:
    assert [rule.pattern for rule in RULES if rule.heavy] == [("contacts", "import"), ("suppressions", "import")]


def test_the_callers_key_and_hop_by_hop_headers_stay_outside() -> None:
    sent = [
        ("Authorization", "Bearer rk_secret"), ("Connection", "keep-alive, X-Secret"), ("X-Secret", "1"), ("TE", "trailers"),
        ("Transfer-Encoding", "chunked"), ("Host", "a"), ("X-Forwarded-For", "1.2.3.4"), ("Cookie", "a=b"), ("Content-Type", "text/csv"),
        ("traceparent", "00-1"),
    ]  # fmt: skip
    assert inward(sent, "TOKEN") == [
        ("content-type", "text/csv"),
        ("traceparent", "00-1"),
        ("authorization", "Bearer TOKEN"),
    ]


def test_a_redirect_to_the_owner_becomes_one_to_the_same_path_here() -> None:
    answered = [
        ("Location", "http://10.0.0.7:8000/v1/contacts"),
        ("Date", "x"),
        ("Connection", "close"),
        ("ETag", "1"),
    ]
    assert outward(answered, "http://10.0.0.7:8000") == [("location", "/v1/contacts"), ("etag", "1")]


def test_documents_are_merged_by_who_answers_and_components_keep_apart() -> None:
    def item(name: str) -> dict[str, object]:
        return {"get": {"responses": {"200": {"schema": {"$ref": f"#/components/schemas/{name}"}}}}}

    own = {
        "paths": {"/v1/messages": {"post": {"summary": "ours"}}},
        "components": {"schemas": {"Thing": {"type": "string"}}},
    }
    segmenter = {
        "paths": {
            "/v1/contacts/{ref}": item("Thing"), "/v1/prices": item("Thing"), "/internal/v1/opt-outs": item("Thing"),
        },
        "components": {"schemas": {"Thing": {"properties": {"next": {"$ref": "#/components/schemas/Thing"}}}}},
    }  # fmt: skip
    ledger = {"paths": {"/v1/messages": {**item("Thing"), "post": {"summary": "theirs"}}}}
    merged = merge(own, {"segmenter": segmenter, "dlr-processor": ledger}, documented_owner)
    assert list(merged["paths"]) == ["/v1/contacts/{ref}", "/v1/messages"]
    assert merged["paths"]["/v1/messages"]["post"] == {"summary": "ours"}
    assert merged["paths"]["/v1/messages"]["get"]["tags"] == ["messages"]
    found = merged["paths"]["/v1/contacts/{ref}"]["get"]["responses"]["200"]["schema"]["$ref"]
    assert found == "#/components/schemas/segmenter.Thing"
    schemas = merged["components"]["schemas"]
    assert schemas["Thing"] == {"type": "string"}
    assert schemas["segmenter.Thing"]["properties"]["next"]["$ref"] == "#/components/schemas/segmenter.Thing"
    assert own["paths"] == {"/v1/messages": {"post": {"summary": "ours"}}}
