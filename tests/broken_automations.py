"""Automations that must be refused, each with where and what has to be said about it."""

from __future__ import annotations

from typing import Final, NamedTuple


class Broken(NamedTuple):
    """A file, and what its one problem must say."""

    what: str
    yaml: str
    path: str
    says: str


def _thanks(steps: str = "  - {type: send_sms, text: Thanks}", extra: str = "") -> str:
    return f"name: Thanks\ntrigger: {{type: job_completed}}\n{extra}steps:\n{steps}\n"


BROKEN: Final = [
    Broken("key", _thanks(extra="conditoins: {}\n"), "conditoins", "did you mean 'conditions'?"),
    Broken(
        "operator",
        _thanks(extra="conditions: {field: job.total, operator: equalz, value: 1}\n"),
        "conditions.operator",
        "did you mean 'equals'?",
    ),
    Broken(
        "field",
        _thanks(extra="conditions: {field: job.totel, operator: equals, value: 1}\n"),
        "conditions.field",
        "did you mean 'job.total'?",
    ),
    Broken(
        "template",
        _thanks("  - {type: send_email, template: job-complete}"),
        "steps[0].template",
        "did you mean 'job-completed'?",
    ),
    Broken(
        "variable in a text message",
        _thanks('  - {type: send_sms, text: "Hi {{ client.frist_name }}"}'),
        "steps[0].text line 1",
        "did you mean 'client.first_name'?",
    ),
    Broken(
        "variable in a subject",
        _thanks('  - {type: send_email, subject: "{{ job.titel }}", text: Thanks}'),
        "steps[0].subject line 1",
        "did you mean 'job.title'?",
    ),
    Broken(
        "step type",
        _thanks("  - {type: send_emial, template: job-completed}"),
        "steps[0].type",
        "did you mean 'send_email'?",
    ),
    Broken(
        "trigger type",
        "name: Thanks\ntrigger: {type: job_complete}\nsteps: []\n",
        "trigger.type",
        "did you mean 'job_completed'?",
    ),
    Broken(
        "two steps with one id",
        _thanks("  - {id: a, type: wait, for: 1h}\n  - {id: a, type: wait, for: 1h}"),
        "steps[1]",
        "two steps have the id 'a'",
    ),
    Broken(
        "template inside a branch",
        _thanks(
            "  - {type: wait, for: 1h}\n"
            "  - type: branch\n"
            "    if: {field: job.total, operator: greater_than, value: 1}\n"
            "    then:\n"
            "      - {type: send_email, template: job-complete}"
        ),
        "steps[1].then[0].template",
        "did you mean 'job-completed'?",
    ),
    Broken(
        "variable inside a branch of a branch that is switched off",
        _thanks(
            "  - type: branch\n"
            "    if: {field: job.total, operator: greater_than, value: 1}\n"
            "    enabled: false\n"
            "    else:\n"
            "      - type: branch\n"
            "        if: {field: client.tags, operator: contains, value: vip}\n"
            "        then:\n"
            '          - {type: send_sms, text: "Hi {{ client.frist_name }}"}'
        ),
        "steps[0].else[0].then[0].text line 1",
        "did you mean 'client.first_name'?",
    ),
    Broken(
        "active without steps",
        "name: Thanks\nstatus: active\ntrigger: {type: job_completed}\nsteps: []\n",
        "",
        "cannot be active without steps",
    ),
    Broken("no YAML", "name: [Thanks\nsteps: []\n", "line 2", "expected"),
    Broken("a key twice", "name: Thanks\nname: Again\n", "line 2", "the key 'name' is there twice"),
    Broken("nothing in it", "# nothing\n", "", "is empty"),
    Broken("no mapping", "- name: Thanks\n", "line 1", "is a mapping with name, trigger and steps"),
]
