"""Proves with z3 that a policy of a KMS key lets nobody reach plaintext but the image, and nobody change who
can but the administrators; or prints a request that does.

An encoding of its own, written from AWS's documentation without a look at the evaluator of this project:
it shall not share its mistakes. For each case one line of JSON is printed:

    {"case": NAME, "answer": "unsat"}                                   proven: there is no such request
    {"case": NAME, "answer": "sat", "requests": {ACTION: {…}, …}}       there is, for these actions
    {"case": NAME, "answer": "uncovered", "why": …}                     the encoding has not this

    kms_proof.py CASE.json…               cases of tests/vectors/kms-audit/cases
    kms_proof.py --verdicts VERDICTS.tsv  policies with the arguments of `cofferdam kms audit`;
                                          "expected" is the exit code that the table says
    kms_proof.py --texts NUMBER           so many random sets of patterns: their classes, and whether
                                          z3's own theory of strings has "others"
    kms_proof.py --requests REQUESTS.json single requests (tests/vectors/iam), to judge the encoding:
                                          "answer" is whether it is allowed, or null with "why";
                                          "widened" whether more was tried than AWS would do
"""

import argparse
import json
import multiprocessing
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent / "kms_proof"))

from cases import of_arguments, of_collection, of_verdicts  # noqa: E402
from conditions import Uncovered  # noqa: E402
from decide import Decision  # noqa: E402
from languages import TooMany  # noqa: E402
from replay import replay  # noqa: E402
from strings import agree  # noqa: E402

VECTORS = pathlib.Path(__file__).resolve().parent.parent / "vectors"


def judge(job):
    """One case: its path, the arguments beside it if it is none of the collection, and what is expected."""
    path, arguments, _ = job
    answer = {"case": path.name}
    try:
        case = of_collection(path, VECTORS) if arguments is None else of_arguments(path, arguments)
        requests = {}
        for key in case.keys:
            for action, request in Decision(case, key).find():
                requests.setdefault(action, {"key": key, **request})
        answer["answer"] = "sat" if requests else "unsat"
        if requests:
            answer["requests"] = requests
    except (Uncovered, TooMany) as error:
        answer |= {"answer": "uncovered", "why": str(error)}
    return answer


def judge_all(jobs):
    return [judge(job) for job in jobs]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("cases", nargs="*", type=pathlib.Path)
    parser.add_argument("--verdicts", type=pathlib.Path)
    parser.add_argument("--requests", type=pathlib.Path)
    parser.add_argument("--texts", type=int, default=0)
    options = parser.parse_args()
    jobs = [(path, None, None) for path in options.cases]
    if options.verdicts:
        jobs += [(path, arguments, code) for path, code, arguments in of_verdicts(options.verdicts)]
    # Each process has its own share, in this order, so that the requests that are found are the same ones
    # every time.
    shares = [jobs[0::2], jobs[1::2]]
    with multiprocessing.Pool(len(shares)) as pool:
        judged = pool.map(judge_all, shares)
    for number, (_, _, code) in enumerate(jobs):
        answer = judged[number % 2][number // 2]
        if code is not None:
            answer["expected"] = code
        print(json.dumps(answer, sort_keys=True))
    for answer in agree(options.texts):
        print(json.dumps(answer, sort_keys=True))
    if options.requests:
        for answer in replay(options.requests):
            print(json.dumps(answer, sort_keys=True))


if __name__ == "__main__":
    main()
