"""Fail when the wheel misses the type marker, the licence or the embedded org's catalogue."""

import sys
import zipfile

names = zipfile.ZipFile(sys.argv[1]).namelist()
wanted = ("sfframe/py.typed", "sfframe/localorg/catalogue/standard/Account.txt", "licenses/LICENSE")
missing = [want for want in wanted if not any(name.endswith(want) for name in names)]
stray = [name for name in names if name.startswith(("tests/", "docs/", "notebooks/"))]
print(f"{len(names)} files; missing: {missing or 'none'}; stray: {stray or 'none'}")
sys.exit(bool(missing or stray))
