"""Could they dump if they died now, and who died without a word.

``record``   an answer of the doctor, a drill → the store
``boots``    boot by boot: which ended in a shutdown, which in a crash, which silently
``ask``      thousands of hosts over SSH, a bounded number at a time
``inventory``  whom to ask: a list, an Ansible inventory in INI or YAML, its JSON
"""
