"""Runs a command and prints, as JSON, what CodeCarbon says that the machine has used meanwhile, and the last line that the command printed.

    python carbon.py node program.mjs ...
"""
import json
import subprocess
import sys

from codecarbon import OfflineEmissionsTracker

tracker = OfflineEmissionsTracker(country_iso_code="DEU", save_to_file=False, log_level="error", measure_power_secs=1)
tracker.start()
printed = subprocess.run(sys.argv[1:], check=True, stdout=subprocess.PIPE, text=True).stdout
tracker.stop()
data = tracker.final_emissions_data
print(json.dumps({
    "codecarbon": {
        "seconds": data.duration,
        "cpuWatts": data.cpu_energy * 3.6e6 / data.duration,
        "ramWatts": data.ram_energy * 3.6e6 / data.duration,
        "joules": data.energy_consumed * 3.6e6,
        "grams": data.emissions * 1000,
        "gramsPerKilowattHour": data.emissions * 1000 / data.energy_consumed,
        "cpu": data.cpu_model,
    },
    "ours": json.loads(printed.strip().splitlines()[-1]),
}))
