"""What Envoy and grpc-gateway do otherwise than the JSON surface, and why ours is right, by the name of the case.

Envoy (interop.lock) is as strict as it can be set, grpc-gateway (go.mod) as it comes.
"""

_LOST = "What was sent is lost without a word; here it is refused."
_LAST_WINS = "The last one wins, or the service breaks; here it is refused."
_NOT_UTF8 = "The service gets a message that is none, and answers 502; here the caller is told."
_OUR_FAULT = "It answers 500, as if the fault were its own."
_BY_ITS_FORM = "A message with a JSON form of its own is given in that form alone, in bodies and queries."
_LATER = (
    "Numbers of choices that are not known yet are read in bodies, and are written; so they are read in queries too."
)
_SHORT = "Short names of choices are ours: what they refuse, nobody sends them."
_BOOLEANS = "yes, on, 1 and their like are read as pydantic and YAML read them: tools for automation send them all."
_EMPTY = 'Tools for automation send "" for what was left empty; where no text is meant it says nothing.'
_BLANKS = "Blanks around a number say nothing; they come along when a number is copied."
_DIGITS = "A number where a text is meant can only be its digits; tables have numbers for ids."
_ONE = "One value where a list is meant can only be a list of it; Envoy does the same for most kinds."
_CASE = "The case of a choice says nothing; there it is refused, or lost."
_EMPTY_SEGMENT = "A wildcard stands for a segment; where there is none, a name was forgotten."
_WHOLE_BODY = 'With `body: "*"` nothing is left for the query (google/api/http.proto).'
_BODY_FIELD = "The field is the body, so a query has no part in it (google/api/http.proto)."
_NULL_LIST = "null leaves any field unset that is not a single Value, lists of Values too (protobuf's JSON mapping)."
_ROUNDED = "It may be exact there and is rounded elsewhere; here it is refused, with how to write it."
_TOO_DEEP = "A message of that depth cannot be read by most services: protobuf's own limit is 100."
_SLASH = (
    "An escaped slash belongs to its segment; it is decoded where that is all of the value (google/api/http.proto)."
)
_VERB = "The rule with the verb is the more specific one."
_INT64 = "64-bit integers are JSON numbers here, as the surface has promised from its first day."
_MILLISECONDS = "Times have at least milliseconds here, as the surface has promised."
_NULLS = "Messages that are not there are left out here, and null there."

# What both refuse.
LEFT_EMPTY = {
    "query: an empty number": _EMPTY,
    "query: what was left empty": _EMPTY,
    "query: one of, another empty": _EMPTY,
    "body: what was left empty": _EMPTY,
    "body: a blank where a number is meant": _EMPTY,
    "body: blanks around a number": _BLANKS,
}
FOR_TEXT = {
    "body: a number for a text": _DIGITS,
    "body: a large number for a text": _DIGITS,
    "body: a whole number with a fraction for a text": _DIGITS,
    "body: a fraction for a text": _DIGITS,
}
ENVOY = {
    **LEFT_EMPTY,
    **FOR_TEXT,
    "query: an empty message": _EMPTY,
    "body: one for a list of choices": _ONE,
    "body: a number for a flag": _BOOLEANS,
    "body: a choice in another case": _CASE,
    "query: a recursive message, too deep": _TOO_DEEP,
    "query: a text twice": _LAST_WINS,
    "query: a field of a repeated message": "One element is made of it, and a second could not be told apart.",
    "query: a choice by short name": _SHORT,
    "query: a choice of a later version": _LATER,
    "query: a part of a time": _BY_ITS_FORM,
    "query: the value of a wrapper": _BY_ITS_FORM,
    "query: bytes that are not UTF-8": _NOT_UTF8,
    "body: a key twice": _LAST_WINS,
    "body: an unknown field": _LOST,
    "body: null in a list": _LOST,
    "body: null in a list of texts": _LOST,
    "body: null in a list of wrappers": _LOST,
    "body: integers with an exponent": "Exponents are read in quotes and without (protobuf's JSON mapping).",
    "body: an integer beyond what a float is exactly": _ROUNDED,
    "body: one key of a map in two ways": _LOST,
    "body: 1 for a key that is a flag": "The keys of such a map are true and false (protobuf's JSON mapping).",
    "body: null for a list of values": _NULL_LIST,
    "path: a field that the path has, in the query": "Both are sent on; the path goes before the query.",
    "path: an empty segment": _EMPTY_SEGMENT,
    "path: not UTF-8": _NOT_UTF8,
    "path: HEAD where GET is": "A body follows the answer to HEAD, which breaks the connection (RFC 9110).",
    "part: a query of the body's field": _BODY_FIELD,
    "part: the path goes before the body": "Refused as it is set; the path goes before the body.",
    "part: a query beside the whole": _WHOLE_BODY,
}
# Requests that end the whole process; here they are refused.
ENVOY_DIES = ("body: null in a map",)
ENVOY_WRITES = {
    **dict.fromkeys(("int64", "uint64", "numbers", "int64Value", "uint64Value", "int64Values"), _INT64),
    "time": _MILLISECONDS,
    **{f"answer: {name}": "Envoy has no response_body." for name in ("nested", "list", "text", "map", "time")},
}
GRPC_GATEWAY = {
    **LEFT_EMPTY,
    **FOR_TEXT,
    **dict.fromkeys((f"body: one for a list of {kind}" for kind in ("texts", "numbers", "choices", "messages")), _ONE),
    "part: one for a list": _ONE,
    **dict.fromkeys((f"body: a flag in {form}" for form in ("quotes", "capitals")), _BOOLEANS),
    "body: a number for a flag": _BOOLEANS,
    "body: a choice in another case": _CASE,
    "query: a recursive message, too deep": _TOO_DEEP,
    "query: an unknown name": _LOST,
    "query: an empty message": "A message is given by its fields; this one has none.",
    "query: a field of an empty message": _LOST,
    "query: an entry of a map": "A way of grpc-gateway's own: maps have no place in queries.",
    "query: yes for true": _BOOLEANS,
    "query: a choice by short name": _SHORT,
    "query: a choice of a later version": _LATER,
    "query: a part of a time": _BY_ITS_FORM,
    "query: a mask": "A mask has one form; there it is another in queries than in bodies.",
    "query: the value of a wrapper": _BY_ITS_FORM,
    "query: bytes that are not UTF-8": _OUR_FAULT,
    "query: any value": "The text of a query is a string; there it must be JSON.",
    "body: more than JSON": _LOST,
    "body: an unknown field": _LOST,
    "body: nested too deep": _TOO_DEEP,
    "body: an integer beyond what a float is exactly": _ROUNDED,
    "body: no choice": _LOST,
    "body: null for a list of values": _NULL_LIST,
    "path: a slash that is escaped": _SLASH,
    "path: segments with a slash that is escaped": _SLASH,
    "path: an empty segment": _EMPTY_SEGMENT,
    "path: the rest with a slash that is escaped": _SLASH,
    "path: a verb after a variable": _VERB,
    "path: colons before a verb": _VERB,
    "path: not UTF-8": _OUR_FAULT,
    "path: another method": "405 with Allow says what to do (RFC 9110).",
    "path: HEAD where GET is": "HEAD is answered wherever GET is (RFC 9110).",
    "path: any method": "The method * is any (google/api/http.proto).",
    "part: a query of the body's field": _BODY_FIELD,
    "part: null": "null leaves a field unset, where it is the body too.",
    "part: data": "Both alphabets of base64 are read (protobuf's JSON mapping).",
    "part: a query beside the whole": _WHOLE_BODY,
    "part: patch": "It fills a mask from the body, which no rule of google.api.http says.",
}
GRPC_GATEWAY_WRITES = {
    **dict.fromkeys(("int64", "uint64", "numbers", "int64Value", "uint64Value", "int64Values"), _INT64),
    "time": _MILLISECONDS,
    **dict.fromkeys(("nested", "list", "byNumber", "answer: nested", "answer: list"), _NULLS),
    "answer: time": "An answer that is an absent field is null; there it is a time of 1970.",
}
