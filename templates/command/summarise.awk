# Sums up one HepMC3 event, which comes on stdin: one line of JSON.
$1 == "P" { particles += 1 }
$1 == "P" && $NF == 1 { visible += 1 }
END { printf "{\"position\":%d,\"particles\":%d,\"visible\":%d}\n", position, particles, visible }
