// Files of every format, compiled once.
#include "g4/io/json.inl"
