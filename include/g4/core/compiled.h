/// Code that is no template: in the host's own files, or compiled once.
///
/// A header `x.h` declares with `G4_INLINE` and `x.inl` defines. Alone, `x.h` includes `x.inl` and nothing needs to be
/// linked. A host that links `g4::compiled` (as every user of `g4::cpu` does) has G4_COMPILED defined: it reads the
/// declarations only, and the library, built from the same files, holds the definitions.
#pragma once

#if defined(G4_COMPILED)
#define G4_INLINE
#else
#define G4_INLINE inline
#endif
