/// One model over several ranks: everything a host needs but a backend and what the ranks reach each other by.
///
///     #include <g4/backend/cpu.h>        // link g4::cpu
///     #include <g4/comm/mpi.h>           // link g4::mpi; comm/threads.h needs nothing
///     #include <g4/g4.h>
///     #include <g4/ranks.h>
///
/// docs/ranks.md shows the rest.
#pragma once

#include "g4/backend/joined.h"
#include "g4/model/sharded.h"
#include "g4/open/ranks.h"
