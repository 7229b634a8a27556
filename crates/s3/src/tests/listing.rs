//! Questions to listing.
