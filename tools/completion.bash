# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# Completion of ipm(8) for bash. Commands, options and columns are asked of the command
# itself, so they are those that it has. Needs nothing but bash.

# _ipm_say WORDS: what of these begins with the word at hand.
_ipm_say()
{
	mapfile -t COMPREPLY < <(compgen -W "$1" -- "$2")
}

# Names that need no quoting; others are reached by id.
_ipm_segments()
{
	"$1" ls --noheadings --output ID,NAME 2>/dev/null |
		while read -r id name; do
			case $name in
			- | *[!A-Za-z0-9._@%+,:/-]*) echo "id:$id" ;;
			*) echo "$name" ;;
			esac
		done
}

_ipm()
{
	local ipm=${COMP_WORDS[0]} word=${COMP_WORDS[COMP_CWORD]}
	local command=${COMP_WORDS[1]} before=${COMP_WORDS[COMP_CWORD - 1]} list

	# Colons divide words for readline: name:x and id:1 are put together again.
	if [[ $COMP_WORDBREAKS == *:* && $COMP_CWORD -gt 1 ]]; then
		if [[ $word == : ]]; then
			word=$before:
			before=${COMP_WORDS[COMP_CWORD - 2]}
		elif [[ $before == : && $COMP_CWORD -gt 2 ]]; then
			word=${COMP_WORDS[COMP_CWORD - 2]}:$word
			before=
		fi
	fi
	COMPREPLY=()
	if [ "$COMP_CWORD" -eq 1 ]; then
		_ipm_say "$("$ipm" --help 2>/dev/null | sed -n 's/^  \([a-z-]*\)  .*/\1/p') --help --version" \
			"$word"
		return
	fi
	case $before in
	-o | --output | -s | --sort)
		if list=$("$ipm" "$command" --help 2>/dev/null |
			sed -n 's/^  [ *] \([A-Z/%]\{2,\}\)  .*/\1/p') && [ -n "$list" ]; then
			# The last of several.
			mapfile -t COMPREPLY < <(compgen -P "${word%"${word##*,}"}" -W "$list" -- \
				"$(tr '[:lower:]' '[:upper:]' <<<"${word##*,}")")
			compopt -o nospace 2>/dev/null
			return
		fi
		;;
	--color) _ipm_say "auto always never" "$word" && return ;;
	-e | --events) _ipm_say "life claims deaths all" "$word" && return ;;
	--owner)
		mapfile -t COMPREPLY < <(compgen -u -- "$word")
		return
		;;
	esac
	if [[ $word == -* ]]; then
		_ipm_say "$("$ipm" "$command" --help 2>/dev/null |
			sed -n 's/^  \(-[A-Za-z], \|    \)\(--[a-z-]*\).*/\2/p')" "$word"
		return
	fi
	case $command in
	run)
		mapfile -t COMPREPLY < <(compgen -c -- "$word")
		;;
	limits) _ipm_say "segments= handles= claims= bytes=" "$word" && compopt -o nospace 2>/dev/null ;;
	chown)
		if [ "$COMP_CWORD" -eq 2 ]; then
			mapfile -t COMPREPLY < <(compgen -u -- "$word")
		else
			_ipm_say "$(_ipm_segments "$ipm")" "$word"
		fi
		;;
	top | doctor) ;;
	*) _ipm_say "$(_ipm_segments "$ipm")" "$word" ;;
	esac
	# What stands before the last colon is on the line already.
	if [[ $word == *:* && $COMP_WORDBREAKS == *:* ]]; then
		COMPREPLY=("${COMPREPLY[@]#"${word%:*}:"}")
	fi
}

complete -F _ipm ipm
