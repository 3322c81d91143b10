//! Filters, conditions, parameters and the evaluator: pure.
