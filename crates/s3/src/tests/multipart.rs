//! Questions to multipart.
