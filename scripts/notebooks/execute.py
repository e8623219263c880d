"""Runs notebooks, each in a fresh kernel, and exits with 1 when a cell fails, is dropped, hangs or prints a problem.

A notebook that ran as it should is written back with its outputs, without what changes from run to run for no reason.
"""

import argparse
import pathlib
import sys
import time

import nbformat
from nbclient import NotebookClient

KERNEL = "tslab"


class CellProblem(Exception):
    pass


def execute(path, timeout):
    """The notebook with the outputs of this run."""
    notebook = nbformat.read(path, as_version=4)
    statuses = {}
    started = time.time()

    def note(cell, cell_index, execute_reply):
        status = statuses[cell_index] = execute_reply["content"]["status"]
        print(f"  cell {cell_index}: {status}, {time.time() - started:.1f} s", flush=True)

    client = NotebookClient(
        notebook,
        timeout=timeout,
        kernel_name=KERNEL,
        record_timing=False,
        coalesce_streams=True,
        on_cell_executed=note,
        # the kernel looks for packages from the folder that it is started in
        resources={"metadata": {"path": str(path.parent)}},
    )
    client.execute()
    check(notebook, statuses)
    clean(notebook)
    return notebook


def check(notebook, statuses):
    """The kernel drops cells without an error, and writes a compiler's messages to stderr alone."""
    count = 0
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type != "code":
            continue
        count += 1
        if statuses.get(index) != "ok" or cell.execution_count != count:
            raise CellProblem(f"cell {index} did not run: {statuses.get(index)}, execution count {cell.execution_count}")
        for output in cell.outputs:
            if output.output_type == "error" or output.get("name") == "stderr":
                raise CellProblem(f"cell {index} printed a problem: {output.get('text', output)}")


def clean(notebook):
    for cell in notebook.cells:
        cell.metadata = {}
    notebook.metadata = {
        "kernelspec": {"display_name": "TypeScript", "language": "typescript", "name": KERNEL},
        "language_info": {"name": "typescript", "file_extension": ".ts", "mimetype": "text/typescript"},
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("paths", nargs="+", type=pathlib.Path)
    parser.add_argument("--write", action="store_true", help="keep the outputs")
    parser.add_argument("--timeout", type=int, required=True, help="seconds for one cell")
    options = parser.parse_args()
    failed = 0
    for path in options.paths:
        started = time.time()
        print(path.name, flush=True)
        try:
            notebook = execute(path, options.timeout)
        except Exception as problem:  # a cell's error, a time limit, a kernel that died
            failed += 1
            print(f"FAILED {path.name}: {type(problem).__name__}: {problem}", flush=True)
            continue
        if options.write:
            nbformat.write(notebook, path)
        print(f"  {time.time() - started:.0f} s", flush=True)
    print(f"notebooks: {len(options.paths) - failed} passed, {failed} failed")
    return 1 if failed else 0


sys.exit(main())
