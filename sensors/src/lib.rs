//! Filters, conditions, parameters and the evaluator: pure.

pub mod codes;
pub mod condition;
pub mod definition;
pub mod evaluator;
pub mod expr;
mod expression;
pub mod filter;
mod go_regex;
mod go_time;
pub mod jq;
mod json;
mod lint;
pub mod lua;
mod number;
pub mod parameter;
pub mod path;
pub mod set;
pub mod template;
pub mod transform;
pub mod view;
mod yaml;
