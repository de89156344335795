"""A complete small facility as text, for tests of several rooms.

Here: one facility file with every kind of table, and reading it. Not here: any promise.
"""

from __future__ import annotations

from pathlib import Path

from als_assets.facility import Facility, load_facility

COLLECTION = "75b478b2-37af-46df-bfbd-71ed692c6506"
OTHER_COLLECTION = "44ae904c-ab64-4145-a8f0-7287de38324d"

# ROOT is replaced by a folder. Sites als and nersc are folders of this machine, alcf is reached by Globus only.
TEXT = """\
name: box
state_dir: state
board_url: http://127.0.0.1:8832
sites:
  als:
    title: ALS
    on_premises: true
    compute:
      kind: local
      raw: data_raw
      scratch: data_scratch
      log_dir: ROOT/data/logs
  nersc:
    title: NERSC
    compute:
      kind: sfapi
      api_url: https://api.example.org/api
      token_url: https://login.example.org/token
      identity: jobs
      account: als
      raw: far_raw
      scratch: far_scratch
      log_dir: ROOT/far/logs
      container:
        command: podman-hpc
        image: microct
  alcf:
    title: ALCF
  scicat:
    title: SciCat
locations:
  spot:
    site: als
    mover: posix
    root: ROOT/spot
    mounted: true
    prefix: raw
    class: acquisition
  data_raw:
    site: als
    mover: posix
    root: ROOT/data/raw
    mounted: true
    class: staging
  data_scratch:
    site: als
    mover: posix
    root: ROOT/data/scratch
    mounted: true
    class: scratch
  far_raw:
    site: nersc
    mover: posix
    root: ROOT/far/raw
    mounted: true
    class: staging
  far_scratch:
    site: nersc
    mover: posix
    root: ROOT/far/scratch
    mounted: true
    class: scratch
  eagle:
    site: alcf
    collection: 75b478b2-37af-46df-bfbd-71ed692c6506
    root: /eagle
    class: view
  eagle_raw:
    site: alcf
    collection: 75b478b2-37af-46df-bfbd-71ed692c6506
    root: /eagle/raw
    class: archive
  eagle_scratch:
    site: alcf
    collection: 75b478b2-37af-46df-bfbd-71ed692c6506
    root: /eagle/scratch
    class: scratch
identities:
  mover:
    kind: globus
    client_id: {env: BOX_MOVER_ID}
    client_secret: {file: secrets/mover}
  jobs:
    kind: sfapi
    client_id: {env: BOX_JOBS_ID}
    key: {file: /etc/box/key.json}
  catalogue:
    kind: scicat
    username: {env: BOX_USER}
    password: {file: secrets/scicat}
images:
  microct:
    reference: ghcr.io/als-computing/microct
    digest: sha256:0000000000000000000000000000000000000000000000000000000000000000
globus:
  mover: mover
  pruner: mover
scicat:
  site: scicat
  api_url: https://catalogue.example.org/api/v3/
  frontend_url: https://catalogue.example.org
  identity: catalogue
beamlines:
  bl832:
    acquisition: spot
    raw: data_raw
    raw_remote: far_raw
    results: data_scratch
    settings: bl832.yaml
"""


def text(root: Path | str = "/srv") -> str:
    return TEXT.replace("ROOT", str(root))


def facility_at(folder: Path) -> Facility:
    """The facility with its folders below ``folder``, loaded from a file there."""
    path = folder / "facility.yaml"
    path.write_text(text(folder))
    for name in ("spot/raw", "data/raw", "data/scratch", "far/raw", "far/scratch"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    return load_facility(path)
