//! Kinds of Amazon EC2, and what they share.
