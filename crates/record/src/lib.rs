//! Record batches: bytes to records and back.
