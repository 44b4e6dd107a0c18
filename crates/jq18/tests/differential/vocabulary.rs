//! What programs are made of, one piece a line.

/// Functions without arguments that give the same anywhere.
pub(crate) const PLAIN: &str = r##"
length
utf8bytelength
not
keys
keys_unsorted
values
nulls
booleans
numbers
strings
arrays
objects
iterables
scalars
add
any
all
flatten
floor
ceil
round
sqrt
abs
trunc
tostring
tonumber
toboolean
type
sort
unique
min
max
reverse
first
last
transpose
to_entries
from_entries
tojson
fromjson
ascii_downcase
ascii_upcase
trim
ltrim
rtrim
explode
implode
infinite
nan
isnan
isinfinite
isnormal
recurse
paths
tostream
todate
fromdate
fromdateiso8601
todateiso8601
gmtime
mktime
empty
error
null
true
false
..
.[]
.[]?
.
finites
normals
combinations
significand
logb
frexp
modf
exp2
getpath(["a"])
input_line_number?
have_decnum?|type
splits(",")
ascii?
"##;

/// Calls of functions: `@` is a program, `^` one that addresses, `%` a small number, `&` any, `~` a text, `/` a regular expression, `!` its flags, `#` a
/// format of dates.
pub(crate) const ANY_CALLS: &str = r##"
select(@)
any(@; @)
all(@; @)
add(@)
first(@)
last(@)
nth(%; @)
limit(%; @)
skip(%; @)
isempty(@)
path(^)
paths(@)
del(^)
recurse(.[]?; @)
in(@)
inside(@)
contains(@)
range(%)
range(%; %)
range(%; %; %)
pow(%; %)
fmin(@; @)
ldexp(%; %)
tojson|fromjson
tojson|fromjson|tojson
"[1.50, 1e3, -0.10, \(%).0]"|fromjson|(tojson, .[])
(.. | strings)|fromjson
getpath([~, %])
getpath(@)
setpath([~]; @)
setpath([%, ~]; @)
setpath(@; @)
pick(.a)
pick(.[%])
pick(^)
walk(@)
walk(if type == ~ then @ else . end)
IN(@)
IN(@; @)
tostream|[.]
fromstream(tostream)
[truncate_stream(1; tostream)]
fromstream(1|truncate_stream(@|tostream))
error(@)
getpath(paths)
[limit(5; repeat(1, @))]
[limit(3; .[]?, 1, 2, 3)]
[.[]?] | index(@)
tostring | ltrimstr(~)
[..] | length
try error(@) catch .
"##;

/// Of arrays, mostly.
pub(crate) const LIST_CALLS: &str = r##"
map(@)
map_values(@)
sort_by(@)
group_by(@)
unique_by(@)
min_by(@)
max_by(@)
any(@)
all(@)
to_entries|map(@)
with_entries(@)
with_entries(.value |= @)
has(%)
index(%)
indices(@)
join(~)
flatten(%)
delpaths([[~], [%]])
delpaths([[%], [%]])
INDEX(@)
INDEX(@; @)
bsearch(%)
combinations(2)
del(.[%], .[%])
to_entries|from_entries
[.[:%][], .[%:][]]
"##;

/// Of texts, mostly.
pub(crate) const TEXT_CALLS: &str = r##"
index(~)
rindex(~)
indices(~)
startswith(~)
endswith(~)
ltrimstr(~)
rtrimstr(~)
trimstr(~)
split(~)
has(~)
[splits(/)]
test(/)
test(/; !)
[match(/; !)]
match(/)
capture(/)
[capture(/; !)]
[scan(/)]
[scan(/; !)]
split(/; !)
sub(/; @)
sub(/; ~; !)
gsub(/; ~)
gsub(/; "<\(.)>")
gsub(/; @; !)
[splits(/; !)]
[match(/; "g").string]
strptime(#)
strptime(#)|mktime
ascii_downcase == ~
explode|implode
test(/)
[scan(/)]
[match(/; !) | .offset, .length]
gsub(/; .n? // "")
ascii_upcase | test(/; "i")
"##;

/// Of moments: seconds, or what they are broken down to.
pub(crate) const TIME_CALLS: &str = r##"
todate
gmtime
gmtime|mktime
strftime(#)
gmtime|strftime(#)
todate|strptime(#)
strftime(#)|strptime(#)
todate|fromdate
"##;

pub(crate) const DATES: &str = r##"
%Y-%m-%dT%H:%M:%SZ
%Y-%m-%d
%a, %d %b %Y %H:%M:%S %z
%s
%j %U %W %V %G %u %w
%A %B %e %k %l %p
%c
%D %T
%F %R
%x %X %r
%-d/%-m/%y
%d%%%H
%Z
%H:%M
%C %g %h
%Y %Q
"##;
