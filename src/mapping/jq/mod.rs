//! jq as mapping authors know it (libjq 1.8), on the jaq engine.
