use crate::model::Primitive;

/// The Avro type that somebody who wrote `name` most likely meant.
pub(crate) fn for_type(name: &str) -> Option<&'static str> {
    let lower = name.to_ascii_lowercase();
    if let Some(primitive) = Primitive::parse(&lower) {
        return Some(primitive.as_str());
    }
    Some(match lower.as_str() {
        "integer" | "int32" | "int16" | "short" => "int",
        "int64" | "bigint" => "long",
        "str" | "text" | "varchar" | "char" => "string",
        "bool" => "boolean",
        "number" | "real" | "float64" => "double",
        "float32" => "float",
        "byte" | "binary" | "blob" => "bytes",
        "none" | "nil" => "null",
        "list" => "array",
        "dict" | "hash" => "map",
        "object" | "struct" => "record",
        _ => return None,
    })
}
