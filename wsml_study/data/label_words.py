"""Words that stand for a label in cells of tables and in nominal attributes of ARFF, lower case."""

PRESENT = frozenset({"true", "yes", "y", "t", "present", "positive", "pos", "wahr", "ja", "vrai", "oui"})
ABSENT = frozenset({"false", "no", "n", "f", "absent", "negative", "neg", "falsch", "nein", "faux", "non"})
NOT_ANNOTATED = frozenset({"", "?", "na", "nan", "null", "n/a", "<na>"})
