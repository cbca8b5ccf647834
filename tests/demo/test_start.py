"""What makes the booth's page appear late."""

import subprocess
import sys


def test_the_page_does_not_wait_for_torch() -> None:
    said = "import sys, kimchi.demo.app, kimchi.generation.engine; print([name for name in ('torch', 'diffusers') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
