// The quantiser and what writes towers, compiled once.
#include "g4/convert/mmproj.inl"
#include "g4/convert/quantise.inl"
