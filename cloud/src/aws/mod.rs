//! Amazon: credentials, region, transport, and what errors mean.

mod access;
mod explain;
mod fields;
mod http;
mod keys;
mod web_identity;

pub use access::{Access, Purpose};
pub use explain::{Kind, Place, Trouble, explain};
pub use fields::{Fields, Mistake};
pub use http::{http_client, is_amazons, is_on_this_machine};
pub use keys::Keys;
