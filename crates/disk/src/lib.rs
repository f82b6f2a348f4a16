//! The file operations that storage needs, real and faulty.
