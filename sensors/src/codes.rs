//! The codes of the problems that sensors can have: `TL03` and two digits.

tripline_config::codes! {
    BAD_REGEX = "TL0303", "A regular expression that cannot be compiled.",
        "Filters of type `string` take regular expressions as Go has them (RE2): no look-around, no back-references.";
    BAD_VALUE = "TL0304", "A value that is not of the filter's type.",
        "The message says what was expected. Values are written as texts: `value: [\"5\"]`.";
    UNKNOWN_TYPE = "TL0305", "A filter's type that does not exist.",
        "A data filter is of type `string`, `number` or `bool`.";
    BAD_COMPARATOR = "TL0306", "A comparator that does not exist, or does not fit the type.",
        "Numbers have `=`, `!=`, `>`, `>=`, `<` and `<=`; texts have the first two; booleans are only compared for equality.";
    BAD_PATH = "TL0307", "A path that cannot be compiled, or never finds anything.",
        "Paths are those of gjson (`body.items.0.name`), or JSONPath where they begin with `$`.";
    MISSING_FIELD = "TL0308", "A field that must be given.",
        "Without it the sensor cannot decide.";
    BAD_OPERATOR = "TL0309", "A logical operator other than `and` and `or`.",
        "Argo Events takes everything but `or`, in lower case, for `and`.";
    BAD_TIME = "TL0310", "A time, duration or schedule that cannot be read.",
        "Times of day are `HH:MM:SS`, durations `90s` or `1h30m`, schedules cron expressions of five fields, zones IANA names.";
    BAD_EXPRESSION = "TL0311", "An expression that cannot be compiled, or names what is not there.",
        "Expressions of `exprs` are those of govaluate; each name in them is one of `fields`.";
    BAD_CONDITION = "TL0312", "A condition that cannot be compiled, or names an unknown dependency.",
        "Conditions are names of dependencies, `&&`, `||` and parentheses.";
    UNKNOWN_DEPENDENCY = "TL0313", "A parameter of a dependency that the sensor does not have.",
        "The parameter would never be set.";
    BAD_DEST = "TL0314", "A place in the document that cannot be set.",
        "`dest` is a path: names and numbers joined by dots.";
    UNKNOWN_OPERATION = "TL0315", "An operation other than `overwrite`, `append` and `prepend`.",
        "Argo Events fails when the trigger is carried out.";
    FILTER_MISLEADING = "TL0316", "A filter that does not do what it seems to, or that no event can pass.",
        "It does what it does in Argo Events; the message says what that is.";
    NOT_UNIQUE = "TL0317", "A name that another has too.",
        "Names of dependencies, and of triggers, are unique in a sensor.";
    TOO_MANY = "TL0318", "More of something than a sensor may have.",
        "Split the sensor.";
    BAD_SCRIPT = "TL0320", "A jq or Lua program that cannot be compiled.",
        "The message says at which line and column of the program. `jq` programs are those of gojq, scripts are Lua 5.1; neither sees files or the environment.";
    PARAMETER_LEFT_OUT = "TL0321", "A parameter of a dependency that may have no event when the trigger fires.",
        "A condition with `||` can hold without it. Parameters are left out then; a payload fails. Give `value`, which stands in for it.";
    NOTHING_TO_SET = "TL0322", "A `dest` that leads to nothing in the object that stands in the definition.",
        "A query or wildcard only sets what is there: the parameter would change nothing. A number beyond the declared parameters makes one without a name.";
    BAD_CLUSTER = "TL0330", "Which cluster a trigger acts in cannot be told.",
        "`clusters` is a list of names of `Cluster` objects. `clusterFrom` has a `path` into the data of the event, and `allow`, the names that may stand there.";
    BAD_TEMPLATE = "TL0319", "A template that cannot be compiled, or calls a function that does not exist.",
        "Templates are those of Go with the functions of sprig. Functions that are random, or read the environment or the network, are left out.";
}
