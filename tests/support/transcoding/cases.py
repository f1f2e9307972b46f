"""Requests to the service of rules.proto: what each is understood as, or why it is refused."""

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Case:
    """One request. It is understood as `expected`, in protobuf's JSON form, or refused with a text that `refused`
    matches and the HTTP status."""

    name: str
    method: str
    target: str
    body: str | None = None
    expected: dict[str, Any] | None = None
    refused: str = ""
    status: int = 400


def query(name: str, text: str, expected: dict[str, Any] | None = None, refused: str = "") -> Case:
    return Case(f"query: {name}", "GET", f"/v1/query?{text}", None, expected, refused)


def whole(name: str, body: Any, expected: dict[str, Any] | None = None, refused: str = "") -> Case:
    """A body; a value is written as JSON, a text is as it stands."""
    text = body if isinstance(body, str) else json.dumps(body)
    kept = body if expected is None and not refused else expected
    return Case(f"body: {name}", "POST", "/v1/whole", text, kept, refused)


def path(name: str, target: str, expected: dict[str, Any] | None = None, refused: str = "", **other: Any) -> Case:
    return Case(f"path: {name}", other.pop("method", "GET"), target, None, expected, refused, **other)


def deep(levels: int) -> tuple[str, dict[str, Any]]:
    """A text within `levels` messages, as the parameter of a query and as JSON."""
    value: dict[str, Any] = {"text": "x"}
    for _ in range(levels - 1):
        value = {"inner": value}
    return ".".join(["nested", *["inner"] * (levels - 1), "text"]), {"nested": value}


# Fields of which an empty text says nothing.
LEFT_EMPTY = (
    *("nested", "list", "int32", "int64", "float", "double", "flag", "choice", "choices", "texts", "numbers", "byName"),
    *(
        "time",
        "span",
        "struct",
        "values",
        "times",
        "boolValue",
        "int64Value",
        "floatValue",
        "maybeNumber",
        "pickNumber",
    ),
)
QUERIES = [
    query("nothing", "", {}),
    query("a text", "text=a%20b+c%C3%A9", {"text": "a b cé"}),
    query("an empty text", "text=", {}),
    query("an empty text of a field with presence", "maybe_text=", {"maybeText": ""}),
    query("the proto's name and JSON's", "maybe_text=a&maybeNumber=5", {"maybeText": "a", "maybeNumber": 5}),
    query("a JSON name of its own", "OTHER=a", {"OTHER": "a"}),
    query("the proto's name beside a JSON name of its own", "renamed=a", {"OTHER": "a"}),
    query(
        "one field by both names", "maybe_text=a&maybeText=b", refused="maybeText cannot be given together with maybe"
    ),
    query("a nested field", "nested.text=a&nested.count=3", {"nested": {"text": "a", "count": 3}}),
    query("a recursive message", "nested.inner.inner.text=a", {"nested": {"inner": {"inner": {"text": "a"}}}}),
    query("a recursive message, deep", f"{deep(50)[0]}=x", deep(50)[1]),
    query("a recursive message, too deep", f"{deep(300)[0]}=x", refused="nested too deep"),
    query("repeated texts", "texts=a&texts=b&nested.texts=c", {"texts": ["a", "b"], "nested": {"texts": ["c"]}}),
    query("repeated numbers", "numbers=1&numbers=-2", {"numbers": ["1", "-2"]}),
    query("repeated choices", "choices=CHOICE_ONE&choices=2", {"choices": ["CHOICE_ONE", "CHOICE_TWO"]}),
    query("a text twice", "text=a&text=b", refused="text can be given once"),
    query("an unknown name", "nope=1", refused='Unknown query parameter "nope"'),
    query("a field of a scalar", "text.x=1", refused="Unknown query parameter"),
    query("a message as text", "nested=a", refused="nested is a message; give its fields, like nested.text"),
    query("an empty message", "empty=", {}),
    query("a text for an empty message", "empty=a", refused="empty cannot be given as text"),
    query("a field of an empty message", "empty.x=1", refused="Unknown query parameter"),
    query("a repeated message", "list=a", refused="list cannot be given as text"),
    query("a field of a repeated message", "list.text=a", refused="Unknown query parameter"),
    query("a map", "by_name=a", refused="by_name cannot be given as text"),
    query("an entry of a map", "by_name[a]=b", refused="Unknown query parameter"),
    query("32 bits", "int32=-2147483648&uint32=4294967295", {"int32": -(2**31), "uint32": 2**32 - 1}),
    query("64 bits", f"int64={-(2**63)}&uint64={2**64 - 1}", {"int64": str(-(2**63)), "uint64": str(2**64 - 1)}),
    query("over 32 bits", "int32=2147483648", refused="int32 must be from"),
    query("over 64 bits", f"uint64={2**64}", refused="uint64 must be from"),
    query("a negative number without a sign", "uint32=-1", refused="uint32 must be from"),
    query("a fraction for an integer", "int32=1.5", refused="int32 must be an integer"),
    query("an empty number", "int32=", {}),
    query("what was left empty", "flag=&choice=&numbers=&texts=&time=&int64_value=&nested.count=", {}),
    query("one of, another empty", "pick_text=a&pick_number=", {"pickText": "a"}),
    query("a word for a number", "int32=x", refused="int32 must be an integer"),
    query("fractions", "float=1.5&double=-2.5e3", {"float": 1.5, "double": -2500.0}),
    query("numbers that are not finite", "float=NaN&double=-Infinity", {"float": "NaN", "double": "-Infinity"}),
    query("a float that is too large", "float=1e39", refused="float is too large"),
    query("a double that is too large", "double=1e309", refused="double is too large"),
    query("true", "flag=true", {"flag": True}),
    query("false with presence", "bool_value=false", {"boolValue": False}),
    query("1 for true", "flag=1", {"flag": True}),
    query("T for true", "flag=T", {"flag": True}),
    query("yes for true", "flag=yes", {"flag": True}),
    query("no flag", "flag=maybe", refused="flag must be true or false"),
    query("base64", "data=%2B/8%3D", {"data": "+/8="}),
    query("base64 for URLs", "data=-_8", {"data": "+/8="}),
    query("no base64", "data=a!", refused="data must be base64"),
    query("a choice by name", "choice=CHOICE_TWO", {"choice": "CHOICE_TWO"}),
    query("a choice by short name", "choice=two", {"choice": "CHOICE_TWO"}),
    query("a choice by number", "choice=2", {"choice": "CHOICE_TWO"}),
    query("a choice of a later version", "choice=77", {"choice": 77}),
    query("a choice that is over 32 bits", "choice=4294967296", refused="choice must be one of one, two"),
    query("no choice", "choice=THREE", refused="choice must be one of one, two"),
    query("a time", "time=2025-10-02T10:00:00.5Z", {"time": "2025-10-02T10:00:00.5Z"}),
    query("a time with an offset", "time=2025-10-02T12:00:00%2B02:00", {"time": "2025-10-02T10:00:00Z"}),
    query("no time", "time=yesterday", refused="time is no Timestamp"),
    query("a part of a time", "time.seconds=5", refused='Unknown query parameter "time.seconds"'),
    query(
        "times",
        "times=2025-10-02T10:00:00Z&times=2025-10-03T10:00:00Z",
        {"times": ["2025-10-02T10:00:00Z", "2025-10-03T10:00:00Z"]},
    ),
    query("a span", "span=-1.5s", {"span": "-1.500s"}),
    query("no span", "span=1.5", refused="span is no Duration"),
    query("a mask", "mask=text,nested.maybeText", {"mask": "text,nested.maybeText"}),
    query(
        "wrappers",
        "string_value=&int64_value=5&double_value=1.5&bytes_value=-_8&uint64_value=6",
        {
            "stringValue": "",
            "int64Value": "5",
            "doubleValue": 1.5,
            "bytesValue": "+/8=",
            "uint64Value": "6",
        },
    ),
    query("a wrapped flag", "bool_value=true", {"boolValue": True}),
    query("a wrapped number that is too large", "float_value=1e39", refused="float_value is too large"),
    query("the value of a wrapper", "int64_value.value=5", refused="Unknown query parameter"),
    query("repeated wrappers", "int64_values=1&int64_values=2", {"int64Values": ["1", "2"]}),
    query("any value", "value=a", {"value": "a"}),
    query("a struct", "struct=a", refused="struct is no Struct"),
    query("an Any", "any=a", refused="any is no Any"),
    query("null", "null=NULL_VALUE", {}),
    query("one of", "pick_text=", {"pickText": ""}),
    query("two of", "pick_text=a&pick_number=5", refused="pick_number cannot be given together with pick_text"),
    query("two of, one nested", "pick_text=a&pick_nested.text=b", refused="cannot be given together with pick_text"),
    query("two fields of one of", "pick_nested.text=a&pick_nested.count=5", {"pickNested": {"text": "a", "count": 5}}),
    query("bytes that are not UTF-8", "text=%ff", refused="not UTF-8"),
]
BODIES = [
    whole("nothing", "", {}),
    whole("an empty object", {}),
    whole("white space around", ' \n{"text": "a"} \n', {"text": "a"}),
    whole("no object", "[]", refused="The body must be an object"),
    whole("null", "null", refused="The body must be an object"),
    whole("no JSON", '{"text":}', refused="not valid JSON"),
    whole("more than JSON", '{"text": "a"} x', refused="not valid JSON"),
    whole("a key twice", '{"text": "a", "text": "b"}', refused="there twice"),
    whole("one field by both names", '{"maybe_text": "a", "maybeText": "b"}', refused="together with maybe_text"),
    whole("both names", '{"maybe_text": "a", "OTHER": "b"}', {"maybeText": "a", "OTHER": "b"}),
    whole("an unknown field", '{"nope": 1}', refused='Unknown field "nope"'),
    whole(
        "nulls", '{"text": null, "nested": null, "list": null, "byName": null, "time": null, "int64Value": null}', {}
    ),
    whole("nested", {"nested": {"text": "a", "inner": {"inner": {"count": 1}}}}),
    whole("nested too deep", json.dumps(deep(200)[1]), refused="nested too deep"),
    whole("an empty message", {"empty": {}, "nested": {}}),
    whole("a list of messages", {"list": [{"text": "a"}, {}]}),
    whole("null in a list", '{"list": [null]}', refused=r"list\[0\] must be an object"),
    whole("null in a list of texts", '{"texts": [null]}', refused=r"texts\[0\] must be a string"),
    whole("null in a list of wrappers", '{"int64Values": [null]}', refused=r"int64Values\[0\] must be an integer"),
    whole("what was left empty", dict.fromkeys(LEFT_EMPTY, ""), {}),
    whole("a blank where a number is meant", {"int32": " \n"}, {}),
    whole("an empty text where one is meant", {"maybeText": "", "stringValue": ""}),
    whole("an empty key of a map", '{"byNumber": {"": {}}}', refused="must be an integer"),
    whole("an empty number in a list", '{"numbers": [""]}', refused=r"numbers\[0\] must be an integer"),
    whole("a number for a text", '{"text": 5}', {"text": "5"}),
    whole("a large number for a text", '{"text": 12345678901234567890}', {"text": "12345678901234567890"}),
    whole("a whole number with a fraction for a text", '{"text": 1.0}', {"text": "1"}),
    whole("a fraction for a text", '{"text": 1.5}', {"text": "1.5"}),
    whole("what is over all numbers for a text", '{"text": 1e999}', refused="text must be a string"),
    whole("true for a text", '{"text": true}', refused="text must be a string"),
    whole("a list for a text", '{"text": ["a"]}', refused="text must be a string"),
    whole("one for a list of texts", '{"texts": "a"}', {"texts": ["a"]}),
    whole("one for a list of numbers", '{"numbers": 5}', {"numbers": ["5"]}),
    whole("one for a list of choices", '{"choices": "one"}', {"choices": ["CHOICE_ONE"]}),
    whole("one for a list of messages", '{"list": {"text": "a"}}', {"list": [{"text": "a"}]}),
    whole("a text for a list of messages", '{"list": "a"}', refused="list must be a list"),
    whole("an object for a list of texts", '{"texts": {}}', refused="texts must be a list"),
    whole("half a pair", '{"text": "\\ud800"}', refused="valid Unicode"),
    whole("a zero byte", '{"text": "a\\u0000b"}', {"text": "a\0b"}),
    whole(
        "numbers in quotes",
        '{"int32": "5", "int64": "6", "double": "1.5", "float": "2"}',
        {
            "int32": 5,
            "int64": "6",
            "double": 1.5,
            "float": 2.0,
        },
    ),
    whole("large numbers", {"int64": str(-(2**63)), "uint64": str(2**64 - 1), "int32": 2**31 - 1}),
    whole("large numbers without quotes", '{"int64": 9223372036854775807}', {"int64": "9223372036854775807"}),
    whole(
        "integers with an exponent",
        '{"int32": 1e3, "int64": "2e3", "uint32": 5.0}',
        {
            "int32": 1000,
            "int64": "2000",
            "uint32": 5,
        },
    ),
    whole("an integer beyond what a float is exactly", '{"int64": 9007199254740993.0}', refused="in digits"),
    whole("an exponent without end", '{"int64": "1e999999999"}', refused="is too large"),
    whole("an integer that is out of range", '{"int32": 2147483648}', refused="int32 must be from"),
    whole("a fraction for an integer", '{"int32": 1.5}', refused="int32 must be an integer"),
    whole("true for an integer", '{"int32": true}', refused="int32 must be an integer"),
    whole("blanks around a number", '{"int32": " 5", "double": "1.5\\n"}', {"int32": 5, "double": 1.5}),
    whole("blanks in a number", '{"int32": "5 0"}', refused="int32 must be an integer"),
    whole("a comma in a number", '{"double": "6,48"}', refused="a point in place of the comma"),
    whole("not finite", '{"float": "Infinity", "double": "NaN"}', {"float": "Infinity", "double": "NaN"}),
    whole("not finite without quotes", '{"double": NaN}', refused="NaN is no JSON number"),
    whole("a float that is too large", '{"float": 1e39}', refused="float is too large"),
    whole("the largest float", '{"float": 3.4028235e38}', {"float": 3.4028234663852886e38}),
    whole("a wrapped float that is too large", '{"floatValue": 1e39}', refused="floatValue is too large"),
    whole("a flag in quotes", '{"flag": "true"}', {"flag": True}),
    whole("a flag in capitals", '{"flag": "TRUE", "boolValue": "False"}', {"flag": True, "boolValue": False}),
    whole("a number for a flag", '{"flag": 1, "boolValue": 0}', {"flag": True, "boolValue": False}),
    whole("another number for a flag", '{"flag": 2}', refused="flag must be true or false"),
    whole("no flag", '{"flag": "maybe"}', refused="flag must be true or false"),
    whole("base64", {"data": "+/8="}),
    whole("base64 for URLs without padding", '{"data": "-_8"}', {"data": "+/8="}),
    whole("no base64", '{"data": "a!"}', refused="data must be base64"),
    whole(
        "choices",
        '{"choice": "CHOICE_TWO", "choices": [1, "CHOICE_TWO"]}',
        {
            "choice": "CHOICE_TWO",
            "choices": ["CHOICE_ONE", "CHOICE_TWO"],
        },
    ),
    whole("a choice of a later version", '{"choice": 77}', {"choice": 77}),
    whole("a choice in another case", '{"choice": "choice_Two"}', {"choice": "CHOICE_TWO"}),
    whole("no choice", '{"choice": "THREE"}', refused="choice must be one of one, two"),
    whole("a fraction for a choice", '{"choice": 1.5}', refused="choice must be one of one, two"),
    whole("maps", {"byName": {"a.b": "1"}, "byNumber": {"-5": {"text": "a"}}, "byFlag": {"true": "a", "false": "b"}}),
    whole("a key with many dots", {"byNumber": {"1": {"text": "a"}}, "byName": {"." * 100: "a"}}),
    whole("a key of a map that is no number", '{"byNumber": {"x": {}}}', refused=r"byNumber.x must be an integer"),
    whole("one key of a map in two ways", '{"byNumber": {"1": {}, "01": {}}}', refused="there already"),
    whole("1 for a key that is a flag", '{"byFlag": {"1": "a"}}', refused="byFlag.1 must be true or false"),
    whole("null in a map", '{"byName": {"a": null}}', refused="byName.a must be a string"),
    whole("a time", {"time": "2025-10-02T10:00:00.123456789Z"}),
    whole("a time with an offset", '{"time": "2025-10-02T12:00:00+02:00"}', {"time": "2025-10-02T10:00:00Z"}),
    whole("a time out of range", '{"time": "0000-01-01T00:00:00Z"}', refused="time is no Timestamp"),
    whole("no time", '{"time": 5}', refused="time is no Timestamp"),
    whole("spans", {"span": "-0.000000001s"}),
    whole("a span out of range", '{"span": "999999999999s"}', refused="span is no Duration"),
    whole("a mask", {"mask": "text,nested.maybeText"}),
    whole("structs", {"struct": {"a": [1.0, None, {"b": True}]}, "values": [1.0, "a", None]}),
    whole("any value", {"value": {"a": None}, "anything": [None, 1.0, "a", [], {}]}),
    whole("null as a value", {"value": None}),
    whole("null for NullValue", {"null": None}),
    whole("null for a list of values", '{"anything": null}', {}),
    whole("a message in an Any", {"any": {"@type": "type.googleapis.com/transcoding.v1.Nested", "text": "a"}}),
    whole("a span in an Any", {"any": {"@type": "type.googleapis.com/google.protobuf.Duration", "value": "1.500s"}}),
    whole("an unknown message in an Any", '{"any": {"@type": "type.googleapis.com/no.Such"}}', refused="any is no Any"),
    whole(
        "wrappers",
        {
            "boolValue": False,
            "stringValue": "",
            "bytesValue": "+/8=",
            "int32Value": 0,
            "int64Value": "0",
            "uint64Value": "1",
            "floatValue": 0.5,
            "doubleValue": "NaN",
            "int64Values": ["1", "2"],
        },
    ),
    whole("one of", {"pickNumber": 0}),
    whole("two of", '{"pickText": "a", "pickNumber": 5}', refused="pickNumber cannot be given together with pickText"),
    whole("two of, one null", '{"pickText": "a", "pickNumber": null}', {"pickText": "a"}),
    whole("null as one of", {"pickNull": None}),
    whole(
        "two of, one a null that is a value", '{"pickText": "a", "pickNull": null}', refused="together with pickText"
    ),
    whole("any value as one of", {"pickValue": None}),
]
PATHS = [
    path("a text", "/v1/text/a%20b+c%C3%A9", {"text": "a b+cé"}),
    path("a slash that is escaped", "/v1/text/a%2Fb", {"text": "a/b"}),
    path("a literal before a variable", "/v1/text/exact", {}),
    path("the path goes before the query", "/v1/text/a?int32=5", {"text": "a", "int32": 5}),
    path("a field that the path has, in the query", "/v1/text/a?text=b", {"text": "a"}),
    path("a nested field", "/v1/deep/a", {"nested": {"inner": {"text": "a"}}}),
    path(
        "a nested field beside the query", "/v1/deep/a?nested.text=b", {"nested": {"inner": {"text": "a"}, "text": "b"}}
    ),
    path("a choice by name", "/v1/choice/CHOICE_TWO", {"choice": "CHOICE_TWO"}),
    path("a choice by number", "/v1/choice/2", {"choice": "CHOICE_TWO"}),
    path("no choice", "/v1/choice/x", refused="choice must be one of"),
    path("numbers", "/v1/number/-5/1.5", {"int64": "-5", "double": 1.5}),
    path("a blank for a number", "/v1/number/%20/1.5", refused="int64 must be an integer"),
    path("no number", "/v1/number/x/1.5", refused="int64 must be an integer"),
    path("a flag", "/v1/flag/true", {"flag": True}),
    path("base64 for URLs", "/v1/data/-_8", {"data": "+/8="}),
    path("one of", "/v1/member/a", {"pickText": "a"}),
    path("two of, one in the query", "/v1/member/a?pick_number=5", refused="pick_text cannot be given together"),
    path("segments", "/v1/shelves/1/books/a%20b", {"text": "shelves/1/books/a b"}),
    path("segments with a slash that is escaped", "/v1/shelves/1/books/a%2Fb", {"text": "shelves/1/books/a%2Fb"}),
    path("too few segments", "/v1/shelves/1/books", refused="nothing at", status=404),
    path("too many segments", "/v1/shelves/1/books/2/3", refused="nothing at", status=404),
    path("an empty segment", "/v1/shelves//books/2", refused="nothing at", status=404),
    path("the rest after a literal", "/v1/rest/a/b", {"text": "rest/a/b"}),
    path("the rest", "/v1/files/a/b%20c", {"text": "a/b c"}),
    path("the rest with a slash that is escaped", "/v1/files/a%2Fb/c", {"text": "a%2Fb/c"}),
    path("no rest", "/v1/files", {}),
    path("a wildcard without a variable", "/v1/unnamed/x/of/a", {"text": "a"}),
    path("all without a variable", "/v1/all/x/y", {}),
    path("two patterns", "/v1/a/1/and/b/2", {"nested": {"text": "a/1"}, "text": "b/2"}),
    path("a line break", "/v1/text/a%0Ab", {"text": "a\nb"}),
    path("nothing there after a line break", "/v1/%0A", refused="nothing at", status=404),
    path("nothing there", "/v1/nope", refused="nothing at", status=404),
    path("not UTF-8", "/v1/text/%ff", refused="UTF-8"),
    path("another method", "/v1/text/a", refused="does not take PUT", method="PUT", status=405),
    path("a verb", "/v1/verbs:run", {}, method="POST"),
    path("a verb after a variable", "/v1/verbs/a:run", {"text": "a"}, method="POST"),
    path("colons before a verb", "/v1/verbs/a:b:run", {"text": "a:b"}, method="POST"),
    path("another verb", "/v1/verbs/a:stop", {"text": "a:stop"}, method="POST"),
    path("no verb", "/v1/verbs/a", {"text": "a"}, method="POST"),
    path("a colon that is escaped", "/v1/verbs/a%3Arun", {"text": "a:run"}, method="POST"),
    path("a verb after the rest", "/v1/tree/a/b:undo", {"text": "a/b"}, method="POST"),
    path("a method of its own", "/v1/custom/a", {"text": "a"}, method="REPORT"),
    path("HEAD by a rule", "/v1/head/a", {"text": "a"}, method="HEAD"),
    path("HEAD where GET is", "/v1/text/a", {"text": "a"}, method="HEAD"),
    path("any method", "/v1/any/a", {"text": "a"}, method="PUT"),
    path("delete", "/v1/whole/a?int32=5", {"text": "a", "int32": 5}, method="DELETE"),
]


def part(name: str, body: str, expected: dict[str, Any] | None = None, refused: str = "", target: str = "") -> Case:
    return Case(f"part: {name}", "POST", f"/v1/parts/{target or name}", body, expected, refused)


PARTS = [
    part("nested", '{"text": "a"}', {"nested": {"text": "a"}}),
    part("nested and a query", '{"text": "a"}', {"nested": {"text": "a"}, "int32": 5}, target="nested?int32=5"),
    part("a query of the body's field", "{}", refused="Unknown query parameter", target="nested?nested.text=a"),
    part("nothing", "", {"nested": {}}, target="nested"),
    part("null", "null", {}, target="nested"),
    part("list", '[{"text": "a"}, {}]', {"list": [{"text": "a"}, {}]}),
    part("one for a list", "{}", {"list": [{}]}, target="list"),
    part("no list", "5", refused="list must be a list", target="list"),
    part("text", '"a"', {"text": "a"}),
    part("map", '{"a": "b"}', {"byName": {"a": "b"}}),
    part("time", '"2025-10-02T10:00:00Z"', {"time": "2025-10-02T10:00:00Z"}),
    part("data", '"-_8"', {"data": "+/8="}),
    part("value", '[1, {"a": null}]', {"value": [1.0, {"a": None}]}),
    Case("part: put with a variable", "PUT", "/v1/whole/a", '{"int32": 5}', {"text": "a", "int32": 5}),
    Case("part: the path goes before the body", "PUT", "/v1/whole/a", '{"text": "b"}', {"text": "a"}),
    Case("part: a query beside the whole", "POST", "/v1/whole?int32=5", "{}", None, "Unknown query parameter"),
    Case("part: patch", "PATCH", "/v1/whole/a", '{"count": 5}', {"nested": {"text": "a", "count": 5}}),
]
CASES = [*QUERIES, *BODIES, *PATHS, *PARTS]
# Answers: the path, what is echoed, and the JSON of the field that the answer is.
ANSWERS = [
    ("nested", {"nested": {"text": "a", "count": 5}}, {"text": "a", "count": 5, "texts": []}),
    (
        "list",
        {"list": [{"text": "a"}, {}]},
        [{"text": "a", "count": 0, "texts": []}, {"text": "", "count": 0, "texts": []}],
    ),
    ("text", {"text": "a"}, "a"),
    ("map", {"byName": {"a": "b"}}, {"a": "b"}),
    ("time", {"time": "2025-10-02T10:00:00.500Z"}, "2025-10-02T10:00:00.500Z"),
    ("time", {}, None),
    ("nested", {}, None),
    ("list", {}, []),
    ("text", {}, ""),
]
# A message with a value in every field, as it is written.
WRITTEN: dict[str, Any] = {
    "text": "aé\u2028",
    "nested": {"text": "", "count": 5, "inner": {"text": "a", "count": 0, "texts": []}, "texts": ["b"]},
    "list": [{"text": "a", "count": 0, "texts": []}],
    "int32": -5,
    "int64": -(2**53) - 1,
    "uint32": 2**32 - 1,
    "uint64": 2**64 - 1,
    "float": 0.1,
    "double": 1e300,
    "flag": True,
    "data": "+/8=",
    "choice": "CHOICE_TWO",
    "choices": ["CHOICE_ONE", 77],
    "texts": ["", "a"],
    "numbers": [1, -1],
    "byName": {"a": "b"},
    "byNumber": {"-5": {"text": "a", "count": 0, "texts": []}},
    "byFlag": {"true": "a"},
    "time": "2025-10-02T10:00:00.000Z",
    "span": "1.500s",
    "mask": "text,nested.maybeText",
    "struct": {"a": [1.0, None, {"b": True}]},
    "value": [1.0, "a"],
    "values": [None],
    "null": None,
    "any": {"@type": "type.googleapis.com/google.protobuf.Duration", "value": "1.500s"},
    "empty": {},
    "times": ["2025-10-02T10:00:00.123456Z"],
    "anything": [None, {"a": 1.0}],
    "boolValue": False,
    "stringValue": "",
    "bytesValue": "+/8=",
    "int32Value": 0,
    "int64Value": 5,
    "uint64Value": 6,
    "floatValue": "NaN",
    "doubleValue": "-Infinity",
    "int64Values": [1, 2],
    "maybeText": "",
    "maybeNumber": 0,
    "OTHER": "a",
    "pickNull": None,
}
