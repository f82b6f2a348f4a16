//! Avro schemas: canonical forms, subjects and compatibility verdicts.
