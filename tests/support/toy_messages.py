"""Messages of an operation that is not there, made while the tests run: lists of sources, and of parts with sources."""

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message

from apigpu.v1 import options_pb2

FIELD = descriptor_pb2.FieldDescriptorProto
PACKAGE = "apigpu.toy"


def toy_messages() -> tuple[type[Message], type[Message]]:
    """Return the classes of `Mosaic` (sound, url_videos, parts, batch) and of its `Part` (url, title)."""
    file = descriptor_pb2.FileDescriptorProto(
        name="apigpu/toy.proto", package=PACKAGE, syntax="proto3", dependency=["apigpu/v1/options.proto"]
    )
    part = file.message_type.add(name="Part")
    _field(part, 1, "url", input=True)
    _field(part, 2, "title")
    mosaic = file.message_type.add(name="Mosaic")
    _field(mosaic, 1, "url_videos", repeated=True, input=True, max_items=3)
    for number, name in ((2, "sound"), (3, "parts"), (4, "batch")):
        _field(mosaic, number, name, repeated=name != "sound", of="Part", batch=name == "batch")
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file.SerializeToString())
    mosaic_type, part_type = (pool.FindMessageTypeByName(f"{PACKAGE}.{name}") for name in ("Mosaic", "Part"))
    return message_factory.GetMessageClass(mosaic_type), message_factory.GetMessageClass(part_type)


def _field(
    message: descriptor_pb2.DescriptorProto,
    number: int,
    name: str,
    *,
    repeated: bool = False,
    of: str = "",
    **rules: int,
) -> None:
    field = message.field.add(
        name=name,
        number=number,
        label=FIELD.LABEL_REPEATED if repeated else FIELD.LABEL_OPTIONAL,
        type=FIELD.TYPE_MESSAGE if of else FIELD.TYPE_STRING,
        type_name=f".{PACKAGE}.{of}" if of else None,
    )
    field.options.Extensions[options_pb2.field].CopyFrom(options_pb2.FieldRules(**rules))
