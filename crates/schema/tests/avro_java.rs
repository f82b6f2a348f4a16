//! What Avro-Java itself said, question by question. `corpus/` was answered by Avro 1.12.0 (and
//! 1.11.2 where a row says so), run on each pair and each text.

#[cfg(test)]
mod tests {
    use schema::{Schema, can_read};
    use serde_json::{Value, json};

    const COMPATIBILITY: &str = include_str!("corpus/avro-java-compatibility.jsonl");
    const PARSE: &str = include_str!("corpus/avro-java-parse.jsonl");

    /// Where we answer otherwise than Avro-Java 1.12.0, and why.
    ///
    /// Schema registries up to 7.x speak the words of 1.11, which are the better ones: they name
    /// the field.
    const DEVIATIONS: [(&str, &str); 5] = [
        (
            r#"{"type":"record","name":"downloadhue","fields":[{"name":"name","type":"string"},{"name":"age","type":"integer"}]}"#,
            "\"integer\" is not a defined name. The type of the \"age\" field must be a defined \
             name or a {\"type\": ...} expression. did you mean \"int\"?",
        ),
        (
            r#"{"name":"age","type":"integer"}"#,
            "Type not supported: integer in \"age\"; did you mean \"int\"?",
        ),
        // Jackson's words for bad JSON are not ours.
        ("string", "the schema is not JSON: expected value at line 1 column 1"),
        // 1.12 reads this and prints something else: a record that contains itself.
        (
            r#"{"type":"record","name":"R","fields":[{"name":"f","type":{"type":"record","name":"R","fields":[]}}]}"#,
            "Can't redefine: R",
        ),
        (r#"{"type":"fixed","name":"F","size":-1}"#, "Invalid fixed size: -1"),
    ];

    fn rows(corpus: &str) -> impl Iterator<Item = Value> {
        corpus.lines().map(|line| serde_json::from_str(line).unwrap())
    }

    #[test]
    fn every_pair_is_judged_as_avro_java_judges_it() {
        let mut judged = 0;
        for row in rows(COMPATIBILITY) {
            let [reader, writer] =
                ["reader", "writer"].map(|side| Schema::parse(&row[side].to_string()).unwrap());
            let found: Vec<_> = can_read(&reader, &writer)
                .unwrap()
                .into_iter()
                .map(|each| json!({"type": each.kind.as_str(), "loc": each.path, "msg": each.detail}))
                .collect();
            assert_eq!(json!(found), row["inc"], "{row}");
            assert_eq!(found.is_empty(), row["compat"].as_bool().unwrap(), "{row}");
            judged += 1;
        }
        assert_eq!(judged, 1585);
    }

    #[test]
    fn every_text_is_read_or_refused_as_avro_java_does() {
        let mut read = 0;
        for row in rows(PARSE) {
            let text = row["in"].as_str().unwrap();
            let java = &row["avro1_12_0"];
            let deviation = DEVIATIONS.iter().find(|(input, _)| *input == text);
            match (Schema::parse(text), deviation) {
                (Err(error), Some((_, expected))) => assert_eq!(error.to_string(), *expected),
                (Err(error), None) => {
                    let expected =
                        java["error"].as_str().unwrap_or_else(|| panic!("{error}: {row}"));
                    let (_exception, expected) = expected.split_once(": ").unwrap();
                    assert_eq!(error.to_string(), expected, "{row}");
                }
                (Ok(schema), deviation) => {
                    assert_eq!(deviation, None, "{row}");
                    assert_eq!(schema.canonical(), java["canonical"], "{row}");
                    assert_eq!(schema.parsing_canonical_form(), java["pcf"], "{row}");
                    assert_eq!(format!("{:x}", schema.rabin()), java["rabin"], "{row}");
                }
            }
            read += 1;
        }
        assert_eq!(read, 54);
    }
}
