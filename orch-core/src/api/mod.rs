//! The wire: types of the `/v1` API, conversions, and the one table of endpoints.
