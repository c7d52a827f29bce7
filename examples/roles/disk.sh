#!/bin/sh
# disk tells how full a disk is, whenever it gets the order "disk": a role in
# POSIX sh. docs/protocol-programs.md says what is spoken.

if [ "${1-}" = --describe ]; then
	cat <<'END'
{
  "protocol": 1,
  "kind": "role",
  "version": "1.0",
  "description": "Tells how full a disk is, whenever it is asked with the order disk.",
  "options": {
    "path": {"type": "path", "default": "/", "description": "A directory on the disk."},
    "limit": {"type": "int", "default": 90, "min": 1, "max": 100, "description": "From how many percent on it warns."}
  },
  "filters": ["order:disk"],
  "publishes": ["event:disk"]
}
END
	exit
fi

# Kōzō writes no space between the members, and options in the order above. A path
# with a quote in it would need a real parser.
read -r hello
path=${hello#*'"options":{"path":"'}
path=${path%%'"'*}
limit=${hello#*'"limit":'}
limit=${limit%%[!0-9]*}

echo '{"op":"hello","protocol":1}'
while read -r line; do
	case $line in
	'{"op":"order",'*)
		percent=$(df -P "$path" | awk 'NR == 2 { sub("%", "", $5); print $5 }')
		if [ -z "$percent" ]; then
			printf '{"op":"note","level":"error","text":"df knows nothing of the disk"}\n'
			continue
		fi
		printf '{"op":"event","type":"disk","data":{"path":"%s","percent":%d}}\n' "$path" "$percent"
		if [ "$percent" -ge "$limit" ]; then
			printf '{"op":"log","type":"warn","data":"the disk of %s is full to %d %%"}\n' "$path" "$percent"
		fi
		;;
	esac
done
