// The memory of a text at run time, compiled once.
#include "g4/model/text/plan.inl"
