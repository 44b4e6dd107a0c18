# Built-in functions of jq 1.8 that are easier to say in jq. Names ending in `!` are natives that
# expressions cannot call. Only what an expression uses is compiled with it.

def null: [][0];
def true: 0 == 0;
def false: 0 == 1;
def not: if . then 0 == 1 else 0 == 0 end;
def empty: {}[] as $x | .;
def truthy!: if . then . else empty end;
def error: error! as $x | .;
def error(message): (message | error!) as $x | .;
def select(f): if f then . else empty end;
def values: if . == null then empty else . end;
def nulls: if . == null then . else empty end;
def booleans: if type == "boolean" then . else empty end;
def numbers: if type == "number" then . else empty end;
def strings: if type == "string" then . else empty end;
def arrays: if type == "array" then . else empty end;
def objects: if type == "object" then . else empty end;
def iterables: if type == "array" or type == "object" then . else empty end;
def scalars: if type == "array" or type == "object" then empty else . end;
def finites: if type == "number" and (isinfinite | not) then . else empty end;
def abs: if . < 0 then -. else . end;
def normals: if isnormal then . else empty end;

# Generators
def range($to): range!(0; $to; 1);
def range($from; $to): range!($from; $to; 1);
def range($from; $to; $by): range!($from; $to; $by);
def repeat(f): def again: f, again; again;
def recurse: ..;
def recurse(f): def down: ., (f | down); down;
def recurse(f; condition): def down: ., (f | if condition then down else empty end); down;
def while(condition; update): def loop: if condition then ., (update | loop) else empty end; loop;
def until(condition; update): def loop: if condition then . else update | loop end; loop;
def limit($n; f): if $n > 0 then limit!($n | ceil; f) elif $n == 0 then empty
  else error("limit doesn't support negative count") end;
def skip($n; f): if $n > 0 then skip!($n | floor; f) elif $n == 0 then f
  else error("skip doesn't support negative count") end;
def first: .[0];
def last: .[-1];
def nth($n): .[$n];
def nth($n; f): if $n < 0 then error("nth doesn't support negative indices") else first(skip($n; f)) end;
def isempty(f): first((f | 0 == 1), 0 == 0);
def any(f; condition): isempty(f | condition or empty) | not;
def any(condition): any(.[]; condition);
def any: any(.[]; .);
def all(f; condition): isempty(f | condition and empty);
def all(condition): all(.[]; condition);
def all: all(.[]; .);
def add(f): reduce f as $x (null; . + $x);
def in(container): . as $key | container | has($key);
def inside(container): . as $part | container | contains($part);
def combinations: if length == 0 then [] else .[0][] as $x | (.[1:] | combinations) as $rest | [$x] + $rest end;
def combinations(n): . as $items | [range(n) | $items] | combinations;

# Paths
def getpath($path): if ($path | type) == "array" then reduce $path[] as $key (.; .[$key])
  else error("Path must be specified as an array") end;
def paths: path(..) | select(length > 0);
def paths(f): path(.. | select(f)) | select(length > 0);
def del(f): delpaths([path(f)]);
def pick(f): . as $top | reduce path(f) as $path (null; setpath($path; $top | getpath($path)));
def map(f): [.[] | f];
def map_values(f): modify!(.[]; f);
def walk(f): def each: if type == "object" then modify!(.[]; each) elif type == "array" then [.[] | each] else . end | f; each;
def with_entries(f): to_entries | map(f) | from_entries;
def tostream: tostream! | .[];
def fromstream(f): foreach f as $event (null; fromstream!($event); if .[0] then .[1] else empty end);
def truncate_stream(f): . as $n | null | f | if (.[0] | length) > $n then .[0] |= .[$n:] else empty end;

# Arrays
def sort_by(f): sort_by!([.[] | [f]]);
def group_by(f): group_by!([.[] | [f]]);
def unique_by(f): [group_by!([.[] | [f]])[] | .[0]];
def min_by(f): min_by!([.[] | [f]]);
def max_by(f): max_by!([.[] | [f]]);
def index($x): indices($x) | if . == null then . else .[0] end;
def rindex($x): indices($x) | if . == null then . else .[-1] end;
def IN(f): any(f == .; .);
def IN(source; f): any(source == f; .);
def INDEX(source; f): reduce source as $row ({}; modify!(.[$row | f | tostring]; $row));
def INDEX(f): INDEX(.[]; f);
def JOIN($index; f): [.[] | [., $index[f]]];
def JOIN($index; source; f): source | [., $index[f]];
def JOIN($index; source; f; join): source | [., $index[f]] | join;

# Regular expressions. Those that jq hands to C code as they are evaluate their last argument first.
def test($re): test!($re; false);
def test(re; $flags): re as $re | test!($re; $flags);
def match($re): match!($re; false)[];
def match(re; $flags): re as $re | match!($re; $flags)[];
def capture($re): capture!($re; false)[];
def capture(re; $flags): re as $re | capture!($re; $flags)[];
def scan($re): scan!($re; null)[];
def scan($re; $flags): scan!($re; "g" + $flags)[];
def split($re; $flags): split!($re; $flags + "g");
def splits($re): split!($re; null)[];
def splits($re; $flags): split!($re; $flags + "g")[];
def sub($re; replacement): sub!($re; ""; replacement);
def sub($re; replacement; $flags): sub!($re; $flags; replacement);
def gsub($re; replacement): sub!($re; "g"; replacement);
def gsub($re; replacement; $flags): sub!($re; $flags + "g"; replacement);

# Dates
def todateiso8601: strftime("%Y-%m-%dT%H:%M:%SZ");
def todate: strftime("%Y-%m-%dT%H:%M:%SZ");
def fromdateiso8601: strptime("%Y-%m-%dT%H:%M:%SZ") | mktime;
def fromdate: strptime("%Y-%m-%dT%H:%M:%SZ") | mktime;

# The world outside: empty
def env: {};
def input: error("break");
def inputs: empty;
def debug: .;
def debug(message): .;
def stderr: .;
def input_filename: null;
def input_line_number: error("Unknown input line number");
def get_search_list: [];
def get_jq_origin: empty;
def get_prog_origin: empty;
def modulemeta: error("modules are not available");
def halt_error: halt;
def halt_error($status): halt;
def have_literal_numbers: 0 == 0;
def have_decnum: 0 == 0;
def format($name): format!($name);
