// The quantiser, compiled once.
#include "g4/convert/quantise.inl"
