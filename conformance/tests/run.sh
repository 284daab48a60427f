#!/bin/sh
# The suite's own tests, with a Python that has NumPy; 77 where there is none.
cd "$(dirname "$0")/.." || exit 2
export OPENBLAS_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=.
for python in ${PYTHON:-} python3 /usr/bin/python3; do
  if "$python" -c 'import sys, numpy; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
    exec "$python" -m unittest discover -s tests "$@"
  fi
done
echo "no python3 from 3.10 on with NumPy: skipped"
exit 77
