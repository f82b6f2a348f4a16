//! Protobuf to domain and back, and the one mapping of errors to gRPC statuses.
