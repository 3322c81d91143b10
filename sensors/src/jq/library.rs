//! What is written in jq itself.

pub(super) const TEXT: &str = r#"
def not: if . then false else true end;
def in(container): . as $key | container | has($key);
def inside(whole): . as $part | whole | contains($part);
def map(change): [.[] | change];
def map_values(change): .[] |= change;
def with_entries(change): to_entries | map(change) | from_entries;
def select(test): if test then . else empty end;
def recurse: recurse(.[]?);
def recurse(next): def each: ., (next | each); each;
def recurse(next; test): def each: ., (next | select(test) | each); each;
def while(test; next): def each: if test then ., (next | each) else empty end; each;
def until(test; next): def each: if test then . else next | each end; each;
def repeat(more): def each: more, each; each;
def range($end): _range(0; $end; 1);
def range($start; $end): _range($start; $end; 1);
def range($start; $end; $step): _range($start; $end; $step);
def add(values): [values] | add;
def min_by(key): _min_by(map([key]));
def max_by(key): _max_by(map([key]));
def sort_by(key): _sort_by(map([key]));
def group_by(key): _group_by(map([key]));
def unique_by(key): _unique_by(map([key]));
def arrays: select(type == "array");
def objects: select(type == "object");
def iterables: select(type == "array" or type == "object");
def scalars: select(type != "array" and type != "object");
def booleans: select(type == "boolean");
def numbers: select(type == "number");
def strings: select(type == "string");
def nulls: select(. == null);
def values: select(. != null);
def finites: select(isfinite);
def normals: select(isnormal);
def combinations:
  if length == 0 then [] else .[0][] as $first | [$first] + (.[1:] | combinations) end;
def combinations(count): [limit(count; repeat(.))] | combinations;
def walk(change):
  def each:
    if type == "array" then map(each) elif type == "object" then map_values(each) else . end
    | change;
  each;
def first: .[0];
def first(values): label $found | values | ., break $found;
def last: .[-1];
def last(values): reduce values as $value ([]; [$value]) | .[];
def isempty(values): label $found | (values | false, break $found), true;
def all: all(.[]; .);
def all(test): all(.[]; test);
def all(values; test): isempty(values | select(test | not));
def any: any(.[]; .);
def any(test): any(.[]; test);
def any(values; test): isempty(values | select(test)) | not;
def limit($count; values):
  if $count > 0 then
    label $enough
    | foreach values as $value
        ($count; . - 1; $value, if . <= 0 then break $enough else empty end)
  elif $count == 0 then empty
  else error("limit doesn't support negative count") end;
def skip($count; values):
  if $count > 0 then
    foreach values as $value ($count; . - 1; if . < 0 then $value else empty end)
  elif $count == 0 then values
  else error("skip doesn't support negative count") end;
def nth($index): .[$index];
def nth($index; values):
  if $index >= 0 then first(skip($index; values))
  else error("nth doesn't support negative index") end;
def del(places): delpaths([path(places)]);
def paths: path(..) | select(. != []);
def paths(test): path(.. | select(test)) | select(. != []);
def pick(places):
  . as $whole | reduce path(places) as $path (null; setpath($path; $whole | getpath($path)));
def tostream:
  path(def each: (.[]? | each), .; each) as $path
  | getpath($path)
  | reduce path(.[]?) as $last ([$path, .]; [$path + $last]);
def fromstream(events):
  foreach events as $event
    (null;
     (if .done then null else . end) as $state
     | ($event[0] | length) as $depth
     | if ($event | length) == 2 then
         {value: ($state.value | setpath($event[0]; $event[1])), done: ($depth == 0)}
       else {value: $state.value, done: ($depth == 1)} end;
     if .done then .value else empty end);
def truncate_stream(events):
  . as $depth | null | events | . as $event
  | if ($event[0] | length) > $depth then [$event[0][$depth:]] + $event[1:] else empty end;
def fromdateiso8601: strptime("%Y-%m-%dT%H:%M:%S%z") | mktime;
def todateiso8601: strftime("%Y-%m-%dT%H:%M:%SZ");
def fromdate: fromdateiso8601;
def todate: todateiso8601;
def match($pattern): match($pattern; null);
def match($pattern; $flags): _match($pattern; $flags; false)[];
def test($pattern): test($pattern; null);
def test($pattern; $flags): _match($pattern; $flags; true);
def capture($pattern): capture($pattern; null);
def capture($pattern; $flags): match($pattern; $flags) | _capture;
def scan($pattern): scan($pattern; null);
def scan($pattern; $flags):
  match($pattern; $flags + "g")
  | if .captures == [] then .string else [.captures[].string] end;
def splits($pattern): splits($pattern; null);
def splits($pattern; $flags): split($pattern; $flags)[];
def sub($pattern; new): sub($pattern; new; null);
def gsub($pattern; new): sub($pattern; new; "g");
def gsub($pattern; new; $flags): sub($pattern; new; $flags + "g");
def sub($pattern; new; $flags):
  . as $text
  | def each:
      if .left == [] then $text[:.end] + .made
      else
        .left[-1] as $match
        | {made: (($match | _capture | new) + $text[$match.offset + $match.length:.end] + .made),
           end: $match.offset,
           left: .left[:-1]}
        | each
      end;
    {made: "", end: null, left: [match($pattern; $flags)]} | each;
def INDEX(rows; key): reduce rows as $row ({}; .[$row | key | tostring] = $row);
def INDEX(key): INDEX(.[]; key);
def JOIN($index; key): [.[] | [., $index[key]]];
def JOIN($index; rows; key): rows | [., $index[key]];
def JOIN($index; rows; key; change): rows | [., $index[key]] | change;
def IN(values): any(values == .; .);
def IN(values; others): any(values == others; .);
"#;
