//! What is alive now.
