//! What anybody may send: no text makes the schema core panic, run away or change its mind.

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use schema::{ParseError, Parser, Schema, TooComplex, can_read};
    use serde_json::{Value, json};

    const CORPUS: &str = include_str!("corpus/avro-java-parse.jsonl");

    fn corpus_inputs() -> Vec<String> {
        CORPUS
            .lines()
            .map(|line| {
                serde_json::from_str::<Value>(line).unwrap()["in"].as_str().unwrap().to_owned()
            })
            .collect()
    }

    fn word() -> impl Strategy<Value = String> {
        prop::sample::select(vec![
            "null",
            "boolean",
            "int",
            "long",
            "float",
            "double",
            "bytes",
            "string",
            "record",
            "error",
            "enum",
            "fixed",
            "array",
            "map",
            "A",
            "B",
            "n.A",
            "n.B",
            "m.A",
            ".A",
            "n.int",
            "n",
            "m",
            "",
            "a-b",
            "é",
            "ignore",
            "NaN",
            "date",
            "\u{1F600}",
        ])
        .prop_map(ToOwned::to_owned)
    }

    fn key() -> impl Strategy<Value = String> {
        prop::sample::select(vec![
            "type",
            "name",
            "namespace",
            "doc",
            "aliases",
            "fields",
            "items",
            "values",
            "symbols",
            "size",
            "default",
            "order",
            "logicalType",
            "x",
        ])
        .prop_map(ToOwned::to_owned)
    }

    /// JSON that is often nearly a schema.
    fn nearly() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            6 => word().prop_map(Value::String),
            1 => any::<i64>().prop_map(|number| json!(number)),
            1 => any::<f64>().prop_map(|number| json!(number)),
            1 => any::<bool>().prop_map(|truth| json!(truth)),
            1 => Just(Value::Null),
        ];
        leaf.prop_recursive(6, 60, 5, |inner| {
            let listed = prop::collection::vec(inner.clone(), 0..4);
            prop_oneof![
                2 => listed.clone().prop_map(Value::Array),
                2 => prop::collection::vec((key(), inner.clone()), 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
                4 => (word(), listed).prop_map(|(name, types)| record(&name, types)),
                1 => inner.clone().prop_map(|items| json!({"type": "array", "items": items})),
                1 => inner.prop_map(|values| json!({"type": "map", "values": values, "x": 1e3})),
                1 => word().prop_map(|name| json!({"type": "enum", "name": name, "symbols": ["S"]})),
                1 => (word(), word()).prop_map(
                    |(name, space)| json!({"type": "fixed", "name": name, "namespace": space, "size": 2})
                ),
            ]
        })
    }

    fn record(name: &str, types: Vec<Value>) -> Value {
        let fields: Vec<_> = types
            .into_iter()
            .enumerate()
            .map(|(index, mut inner)| {
                let name = format!("f{index}");
                match inner.as_object_mut().filter(|members| !members.contains_key("type")) {
                    Some(members) => {
                        members.insert("name".into(), json!(name));
                        members.insert("type".into(), json!("int"));
                        inner
                    }
                    None => field(&name, &inner),
                }
            })
            .collect();
        json!({"type": "record", "name": name, "fields": fields, "aliases": ["Old", "m.Old"]})
    }

    /// Whatever is accepted has one text, which means the same and can be read by itself.
    #[track_caller]
    fn settle(text: &str) {
        let Ok(schema) = Schema::parse(text) else { return };
        let canonical = schema.canonical();
        let again =
            Schema::parse(&canonical).unwrap_or_else(|error| panic!("{error}: {canonical}"));
        assert_eq!(again.canonical(), canonical, "{text}");
        assert_eq!(again.parsing_canonical_form(), schema.parsing_canonical_form(), "{text}");
        assert_eq!(again.resolved(), canonical, "{text}");
        let normalized = schema.normalized();
        let again =
            Schema::parse(&normalized).unwrap_or_else(|error| panic!("{error}: {normalized}"));
        assert_eq!(again.normalized(), normalized, "{text}");
        assert_eq!(again.parsing_canonical_form(), schema.parsing_canonical_form(), "{text}");
        assert_eq!(can_read(&schema, &schema), Ok(Vec::new()), "{text}");
    }

    #[test]
    fn every_text_of_the_corpus_settles() {
        for text in corpus_inputs() {
            settle(&text);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(4000) })]

        #[test]
        fn whatever_is_accepted_settles(json in nearly()) {
            settle(&json.to_string());
        }

        #[test]
        fn no_text_panics(text in any::<String>()) {
            settle(&text);
        }

        #[test]
        fn no_cut_or_spliced_text_panics(
            row in 0_usize..54,
            at in 0_usize..400,
            length in 0_usize..8,
            insert in word(),
        ) {
            let mut text: Vec<char> = corpus_inputs()[row].chars().collect();
            let start = at.min(text.len());
            let end = (start + length).min(text.len());
            text.splice(start..end, insert.chars());
            settle(&text.into_iter().collect::<String>());
        }
    }

    fn field(name: &str, inner: &Value) -> Value {
        json!({"name": name, "type": inner})
    }

    /// `R0` to `R{count - 1}`, side by side, each made from its number.
    fn side_by_side(count: usize, fields: impl Fn(usize) -> Vec<Value>) -> String {
        let records: Vec<_> = (0..count)
            .map(|number| {
                let record =
                    json!({"type": "record", "name": format!("R{number}"), "fields": fields(number)});
                field(&format!("r{number}"), &record)
            })
            .collect();
        json!({"type": "record", "name": "Root", "fields": records}).to_string()
    }

    #[test]
    fn deep_texts_are_refused() {
        let brackets = "[".repeat(100_000);
        assert!(matches!(Schema::parse(&brackets), Err(ParseError::NotJson(_))));
        let mut nested = json!("int");
        for _ in 0..61 {
            nested = json!({"type": "array", "items": {"type": "map", "values": nested}});
        }
        assert!(matches!(Schema::parse(&nested.to_string()), Err(ParseError::TooDeep)));
        // Flat as written; but each type is used before the place that defines it.
        let chained = side_by_side(1000, |number| {
            vec![field("next", &json!(format!("R{}", (number + 1) % 1000)))]
        });
        assert!(matches!(Schema::parse(&chained), Err(ParseError::TooDeep)));
    }

    #[test]
    fn a_large_text_is_refused_before_it_is_read() {
        let text = format!("\"{}\"", "x".repeat(schema::MAX_TEXT_BYTES));
        assert!(matches!(Schema::parse(&text), Err(ParseError::TooLarge { .. })));
    }

    /// Written shallow, for each record holds the one before it; read from the last, it is deep.
    fn towering(field_name: impl Fn(usize) -> String) -> Value {
        let records: Vec<_> = (0..1000)
            .map(|number: usize| {
                let inner: Vec<_> = number
                    .checked_sub(1)
                    .map(|below| field("next", &json!(format!("R{below}"))))
                    .into_iter()
                    .collect();
                let record =
                    json!({"type": "record", "name": format!("R{number}"), "fields": inner});
                field(&field_name(number), &record)
            })
            .collect();
        json!({"type": "record", "name": "Root", "fields": records})
    }

    #[test]
    fn a_schema_whose_references_make_it_deep_is_refused() {
        let mut parser = Parser::new();
        parser.add_reference(&towering(|number| format!("r{number}")).to_string()).unwrap();
        assert!(matches!(parser.parse("\"R999\""), Err(ParseError::TooDeep)));
    }

    #[test]
    fn schemas_too_deep_to_compare_are_told_apart_from_incompatible_ones() {
        let reader = towering(|number| format!("r{number}")).to_string();
        let writer =
            towering(|number| if number == 999 { "r999".into() } else { format!("w{number}") });
        let (reader, writer) =
            (Schema::parse(&reader).unwrap(), Schema::parse(&writer.to_string()).unwrap());
        assert_eq!(can_read(&reader, &writer), Err(TooComplex));
        assert_eq!(can_read(&reader, &reader), Ok(Vec::new()));
    }

    #[test]
    fn unions_too_wide_to_compare_are_told_apart_from_incompatible_ones() {
        let union = |prefix: &str| {
            let branches: Vec<_> = (0..5000)
                .map(|number| json!({"type": "fixed", "name": format!("{prefix}{number}"), "size": 1}))
                .collect();
            Schema::parse(&json!(branches).to_string()).unwrap()
        };
        assert_eq!(can_read(&union("A"), &union("B")), Err(TooComplex));
    }

    #[test]
    fn a_type_used_everywhere_does_not_cost_exponential_time() {
        let doubling = |leaf: &'static str| {
            let text = side_by_side(100, |number| {
                let Some(below) = number.checked_sub(1) else {
                    return vec![field("leaf", &json!(leaf))];
                };
                let inner = json!(format!("R{below}"));
                vec![field("a", &inner), field("b", &inner)]
            });
            Schema::parse(&text).unwrap()
        };
        let found = can_read(&doubling("int"), &doubling("string")).unwrap();
        assert_eq!(found.len(), schema::MAX_REPORTED);
    }

    #[test]
    fn a_default_with_many_readings_does_not_cost_exponential_time() {
        let branches: Vec<_> = (0..10)
            .map(|number| {
                json!({"type": "record", "name": format!("B{number}"), "fields": [
                    {"name": "f", "type": [{"type": "array", "items": "U"}]},
                ]})
            })
            .collect();
        let text = json!({"type": "record", "name": "U", "fields": [
            {"name": "f", "type": branches, "default": nested_default(35)},
        ]});
        assert!(matches!(Schema::parse(&text.to_string()), Err(ParseError::InvalidDefault { .. })));
    }

    fn nested_default(levels: usize) -> Value {
        (0..levels).fold(json!({"f": "no"}), |inner, _| json!({"f": [{"f": inner}]}))
    }
}
